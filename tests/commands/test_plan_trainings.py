"""`c2vl plan` counts all trainings, subtracts what is known, and adds up."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from synthetic import BENCHMARK, CLASSES, PARAMS, write_data

from c2vl.commands.costs.estimate import Line
from c2vl.commands.costs.splits import Split, splits_of
from c2vl.commands.costs.sweeps import cost_of, plan_sweeps
from c2vl.commands.costs.training_speed import Speed, measured
from c2vl.commands.costs.trainings import training_lines, trainings_of
from c2vl.commands.costs.trial import Cost, Failed
from c2vl.commands.pipeline.training_cells import cells
from c2vl.commands.plan import clip_bytes, table, total_of
from c2vl.core.layout_file import shipped_layout
from c2vl.evaluation.evaluate_params import EvaluateParams
from c2vl.experiments.ablation.declared import Job
from c2vl.models.clips import load_clips
from c2vl.models.prompt_features import load_prompts
from c2vl.training.devices import Devices
from c2vl.training.finetuning.finetune_params import FinetuneParams
from c2vl.training.finetuning.protocols import finetune_all
from c2vl.training.methods import train
from c2vl.training.reuse import Reuse
from c2vl.training.stage import publish
from c2vl.training.training_params import BaselinesParams, PretrainParams

ROOT = Path(__file__).resolve().parents[2]
NTU60 = {"xsub": Split(40_091, 16_487, 60), "xview": Split(37_646, 18_932, 60)}
SPEED = Speed(
    train=100.0, encode=400.0, step=0.001, pairs=1e6, features=256, weights=1000, memory=2**30
)


def write_params(profile: str, **sections: dict[str, Any]) -> None:
    """params.yaml of a profile in this folder, with some sections changed."""
    params = yaml.safe_load((ROOT / f"profiles/{profile}.yaml").read_text())
    for name, values in sections.items():
        params[name] |= values
    Path("params.yaml").write_text(yaml.safe_dump(params))


def planned(splits: dict[str, Split], stale: bool = False, clip: float = 0.0) -> dict[str, Line]:
    found = training_lines(splits, SPEED, stale, clip, lambda stage: False)
    return {line.stage: line for line in found}


def test_paper_trains_3086_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand.

    pretrain:  2 benchmarks × 3 streams × 150                                =  900
    baselines: 2 benchmarks × (InfoNCE 150 + supervised 150)                 =  600
    finetune:  2 benchmarks × 3 streams × 2 starts × 80                      =  960
    semi:      2 benchmarks × 2 starts × 5 draws × 60 × (0.01 + 0.05 + 0.1)  =  192
                                                                             2,652
    zero-shot: 150 × (55 + 0.8 × 50) / 60 + 150 × (48 + 0.8 × 38) / 60       =  433.5
    """
    monkeypatch.chdir(tmp_path)
    write_params("paper")
    epochs: Counter[str] = Counter()
    steps: Counter[str] = Counter()
    for cell in cells():
        for one in trainings_of(cell, NTU60):
            epochs[cell.stage] += one.epochs  # type: ignore[assignment]
            steps[cell.stage] += one.steps
    assert {name: round(value, 6) for name, value in epochs.items()} == {
        "pretrain": 900,
        "baselines": 600,
        "finetune": 960,
        "semi": 192,
        "zero_shot_pretrain": 433.5,
    }
    assert steps == {
        "pretrain": 3 * 150 * (100 + 94),  # whole batches of 400 in 40,091 and 37,646 clips
        "baselines": 2 * 150 * (100 + 94),
        "finetune": 3 * 2 * 80 * (313 + 294),  # of 128
        # of 64 in 401, 2,005 and 4,009 clips, and in 376, 1,882 and 3,765
        "semi": 2 * 5 * 60 * ((6 + 31 + 62) + (5 + 29 + 58)),
        # of 400 in 55/60, 40/60, 48/60 and 30.4/60 of xsub's clips
        "zero_shot_pretrain": 150 * (91 + 66 + 80 + 50),
    }
    found = planned(NTU60)
    assert sum(found[name].todo for name in epochs) == 2652 + 434
    assert found["zero_shot_pretrain"].todo == 434
    assert found["evaluate"].todo == 2 * (3 + 3) * 100  # C²VL's streams and three baselines
    assert found["features"].todo == 2 * (3 + 3) * 56_578
    # forward and backward, and 30 probes of 500 + 2,000 clips forward alone
    trained, probed = 3 * 150 * 400 * (100 + 94), 2 * 3 * 30 * 2500
    assert found["pretrain"].seconds == pytest.approx(trained / 100 + probed / 400)
    # of every finetuning 16 looks at the test split
    trained, looked = 3 * 2 * 80 * 128 * (313 + 294), 3 * 2 * 16 * (16_487 + 18_932)
    assert found["finetune"].seconds == pytest.approx(trained / 100 + looked / 400)
    assert found["finetune"].written == 12 * 1000 + 6 * 4 * 60 * (16_487 + 18_932)


def test_a_second_view_takes_as_long_as_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_params("paper")
    paper = planned(NTU60)
    write_params("best")
    best = planned(NTU60)
    trained = 3 * 150 * 400 * (100 + 94)
    more = best["pretrain"].seconds - paper["pretrain"].seconds
    assert more == pytest.approx(trained / 100)
    trained = 150 * 400 * (91 + 66 + 80 + 50)
    more = best["zero_shot_pretrain"].seconds - paper["zero_shot_pretrain"].seconds
    assert more == pytest.approx(trained / 100)
    for stage in paper.keys() - {"pretrain", "zero_shot_pretrain"}:
        assert best[stage] == paper[stage]
    seconds = [
        cost_of(
            Job("test", "xsub", 0, PretrainParams.model_validate({"objective": objective})),
            NTU60,
            SPEED,
            EvaluateParams(),
        ).seconds
        for objective in ({"name": "two_views"}, {})
    ]
    assert seconds[0] - seconds[1] == pytest.approx(150 * 100 * 400 / 100)


def test_semi_has_at_least_a_clip_of_each_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_params("paper", semi={"fractions": [0.01], "draws": 1, "epochs": 1, "batch": 8})
    (cell,) = cells("semi@xsub-joint")
    assert {one.steps for one in trainings_of(cell, {"xsub": Split(800, 10, 60)})} == {60 // 8}


def test_transfer_counts_the_target_once_its_index_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    target = {"dataset": "ntu60", "raw": "elsewhere", "benchmark": BENCHMARK}
    write_params("paper", transfer={"targets": {"other": target}})
    lacking: list[str] = []
    found = list(training_lines(NTU60, SPEED, False, 0.0, lambda stage: False, lacking))
    assert "transfer" not in {line.stage for line in found}
    assert len(lacking) == 1 and lacking[0].startswith("transfer@other: not counted, ")
    write_data(tmp_path / "data/targets/other")
    assert planned(NTU60)["transfer"].todo == 2 * 80
    assert splits_of(tmp_path / "data/targets/other", [BENCHMARK]) == {
        BENCHMARK: Split(48, 16, CLASSES)
    }


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Split]:
    """A project that pretrained and finetuned one stream of three."""
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / "data")
    params = PARAMS.model_copy(update={"epochs": 2, "tracker": "none"})
    write_params(
        "demo",
        data={"benchmarks": [BENCHMARK]},
        pretrain=params.model_dump(mode="json"),
        finetune={"epochs": 1, "streams": ["joint"]},
        semi={"streams": ["joint"]},
        transfer={"targets": {}},
    )
    content = yaml.safe_load(Path("params.yaml").read_text())
    params = PretrainParams.model_validate(content["pretrain"])
    clips, test = (load_clips(Path("data"), BENCHMARK, split, "cpu") for split in ("train", "test"))
    prompts = load_prompts(Path("data"), clips.samples, params.objective.kinds, "cpu")
    out = Path(f"results/pretrain/{BENCHMARK}-joint")
    reuse = Reuse(out, Devices("cpu"))
    cell: Any = (CLASSES, BENCHMARK, "joint", params, BaselinesParams(), None, reuse)
    publish(out, train("c2vl", clips, prompts, *cell))
    section = FinetuneParams.model_validate(content["finetune"])
    full = Path(f"results/finetune/full/{BENCHMARK}-joint")
    finetune_all(out, clips, test, CLASSES, section, full, Path(".c2vl/training/x"))
    return splits_of(Path("data"), [BENCHMARK])


def test_what_was_trained_is_subtracted(trained: dict[str, Split]) -> None:
    found = planned(trained)
    assert (found["pretrain"].has, found["pretrain"].todo) == (2, 4)
    assert (found["finetune"].has, found["finetune"].todo) == (2, 0)
    assert found["finetune"].seconds == 0.0 and found["finetune"].memory == 0
    assert found["baselines"].has == 0


def test_new_data_or_parameters_train_again(trained: dict[str, Split]) -> None:
    assert [planned(trained, stale=True)[name].has for name in ("pretrain", "finetune")] == [0, 0]
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["finetune"]["epochs"] = 3
    Path("params.yaml").write_text(yaml.safe_dump(params))
    found = planned(trained)
    assert (found["pretrain"].has, found["finetune"].has, found["finetune"].todo) == (2, 0, 6)
    params["pretrain"]["objective"]["beta"] = 0.7  # finetune starts from another encoder
    params["finetune"]["epochs"] = 1
    Path("params.yaml").write_text(yaml.safe_dump(params))
    found = planned(trained)
    assert (found["pretrain"].has, found["finetune"].has) == (0, 0)


def test_the_total_adds_up() -> None:
    found = [
        Line("crop", 1, 2, True, 10.0, 100, 1000, 5 * 2**30),
        Line("pretrain", 0, 900, True, 20.5, 200, 2000, 3 * 2**30),
    ]
    total = total_of(found)
    assert (total.seconds, total.read, total.written) == (30.5, 300, 3000)
    assert total.memory == 5 * 2**30 and total.exact
    assert not total_of([*found, replace(found[0], seconds=None)]).exact
    assert not total_of([*found, replace(found[0], exact=False)]).exact
    laid = table([*found, total]).splitlines()
    assert laid[-1].split() == ["total", "300", "B", "2.9", "KiB", "5.0", "GiB", "30", "s"]
    assert laid[3].split()[:4] == ["pretrain", "epochs", "0", "900"]


def test_a_clip_is_read_with_its_prompts() -> None:
    costs = {
        "skeleton": Cost(2, 2, 0.1, 1.0, 2_000),
        "embed-vision": Cost(8, 8, 0.1, 1.0, 800),
        "embed-language": Failed("no server"),
    }
    assert clip_bytes(costs) == 1400 and clip_bytes({}) == 0.0


def test_speed_is_measured_with_the_encoder_of_the_params() -> None:
    speed = measured(PARAMS, shipped_layout("ntu25"), CLASSES, 16)
    values = (speed.train, speed.encode, speed.step, speed.pairs)
    assert all(np.isfinite(value) and value > 0 for value in values)
    assert speed.features == 16 and speed.weights > 0 and speed.memory == 0


def test_a_run_of_a_sweep_costs_its_trainings_and_evaluations() -> None:
    """By hand: 2 epochs of 15 whole batches of 8; features of 160 clips; 100 epochs of one step."""
    params = PretrainParams.model_validate({**PARAMS.model_dump(), "epochs": 2, "batch": 8})
    job = Job("test", "xsub", 0, params)
    splits = {"xsub": Split(120, 40, 4)}
    speed = replace(SPEED, pairs=4800.0)
    found = cost_of(job, splits, speed, EvaluateParams())
    assert (found.trainings, found.clips) == (1, 240)
    assert found.seconds == pytest.approx(240 / 100 + 160 / 400 + 100 * 0.001 + 1.0)
    fused = cost_of(job._replace(fused=True), splits, speed, EvaluateParams())
    assert fused.clips == 720 and fused.seconds == pytest.approx(3 * found.seconds)
    held_out = cost_of(job._replace(split="validation"), splits, speed, EvaluateParams())
    assert held_out.clips == 2 * 88  # a quarter of 120 held out: 11 batches of 90 clips


def test_plan_names_the_hours_of_the_sweeps_that_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_data(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    write_params("demo", data={"benchmarks": [BENCHMARK]})
    tried = []

    def measured(params: PretrainParams, *_: object) -> Speed:
        tried.append(params.view.frames)
        return SPEED

    monkeypatch.setattr("c2vl.commands.costs.training_speed.measured", measured)
    changes = [{}, {"epochs": 60}, {"view.frames": 5}]
    settings = [{"name": str(number), "set": each} for number, each in enumerate(changes)]
    sweeps = {"seeds": 2, "sweeps": {"t": {"title": "T", "settings": settings}}}
    Path("mine.yaml").write_text(yaml.safe_dump(sweeps))
    text = plan_sweeps(Path("mine.yaml"), Path("results/mine"))
    assert "6 runs train 6 encoders" in text and "To do: 6 trainings" in text
    assert len(tried) == 2 and tried[1] == 5  # once for each length of a view
