"""Finetune, semi and transfer: what is trained, on which labels, and how streams are fused."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
import torch
import yaml
from pku_text import label_text, long_joints, skeleton_text
from synthetic import BENCHMARK, CLASSES, PARAMS, write_data

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.params import load_section
from c2vl.datasets.transfer_targets import TransferTargets
from c2vl.models.clips import Clips, load_clips
from c2vl.models.encoders.registry import build_encoder
from c2vl.training import loop
from c2vl.training.checkpoint import load_checkpoint
from c2vl.training.finetuning.finetune import class_scores, finetune, settings
from c2vl.training.finetuning.finetune_params import FinetuneParams, SemiParams
from c2vl.training.finetuning.labelled import draw_labelled

ROOT = Path(__file__).resolve().parents[2]
SHORT: dict[str, Any] = {
    "epochs": 2,
    "milestones": [],
    "warmup_epochs": 0,
    "batch": 8,
    "learning_rate": 0.05,
}
CELLS: dict[str, Any] = {"streams": ["joint", "bone", "motion"]}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set with its encoders, and all three protocols run on it by their stages."""
    root = tmp_path_factory.mktemp("protocols")
    write_data(root / "data")
    write_data(root / "data/targets/elsewhere", clips=32, seed=9)
    target = {"dataset": "studio", "raw": "nowhere", "benchmark": BENCHMARK, "train_subjects": [1]}
    sections = {
        "data": {"benchmarks": [BENCHMARK]},
        "pretrain": PARAMS.model_copy(update={"epochs": 2}).model_dump(mode="json"),
        "evaluate": {},
        "finetune": {**SHORT, **CELLS},
        "semi": {**SHORT, **CELLS, "fractions": [0.1, 0.5], "draws": 2, "starts": ["c2vl"]},
        "transfer": {**SHORT, "streams": ["joint"], "targets": {"elsewhere": target}},
    }
    (root / "params.yaml").write_text(yaml.safe_dump(sections))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for stream in CELLS["streams"]:
            for script in ("pretrain", "finetune", "semi"):
                _run(patch, script, BENCHMARK, stream)
        _run(patch, "transfer", "elsewhere")
        _run(patch, "protocols")
    return root


def _run(patch: pytest.MonkeyPatch, script: str, *arguments: str) -> None:
    patch.setattr(sys, "argv", [script, *arguments])
    runpy.run_path(str(ROOT / "stages" / f"{script}.py"), run_name="__main__")


@pytest.fixture(scope="module")
def clips(world: Path) -> tuple[Clips, Clips]:
    train, test = (
        load_clips(world / "data", BENCHMARK, split, "cpu") for split in ("train", "test")
    )
    return train, test


def metrics(world: Path) -> dict[str, Any]:
    return json.loads((world / "results/protocols/metrics.json").read_text())


def test_finetuning_moves_every_weight_and_statistic_of_a_copy(clips: tuple[Clips, Clips]) -> None:
    train, test = clips
    encoder = build_encoder(PARAMS.encoder).eval()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    params = FinetuneParams.model_validate({**SHORT, **CELLS, "weight_decay": 0.1, "test_every": 1})
    own = settings(PARAMS, params, 0)
    done = finetune(encoder, train, np.arange(len(train)), test, CLASSES, "joint", own, "test")
    after = done.network.encoder.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    still = [name for name, value in after.items() if torch.equal(value, before[name])]
    assert not still, "BatchNorm is in training mode and nothing is frozen"
    assert not done.network.training
    assert [row.probe is not None for row in done.curves] == [True, True]
    assert done.best_on_test >= (done.scores.argmax(1) == test.labels).mean()
    again = finetune(encoder, train, np.arange(len(train)), test, CLASSES, "joint", own, "test")
    assert np.array_equal(done.scores, again.scores)


def test_only_the_chosen_labels_are_seen(clips: tuple[Clips, Clips]) -> None:
    """Another label on any clip that was not drawn changes nothing."""
    train, test = clips
    rows = draw_labelled(train.samples, train.labels, 0.3, 0, 0)
    others = np.setdiff1d(np.arange(len(train)), rows)
    poisoned = train.labels.copy()
    poisoned[others] = (poisoned[others] + 1) % CLASSES
    encoder = build_encoder(PARAMS.encoder)
    own = settings(PARAMS, SemiParams.model_validate({**SHORT, **CELLS}), 0)
    first, second = (
        finetune(
            encoder,
            Clips(train.samples, labels, train.skeletons),
            rows,
            test,
            CLASSES,
            "joint",
            own,
            "test",
        ).scores
        for labels in (train.labels, poisoned)
    )
    assert np.array_equal(first, second)


def test_a_draw_is_the_same_share_of_every_class_and_depends_on_ids_alone() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [100, 60, 7])
    samples = [f"clip{number:03d}" for number in range(len(labels))]
    rows = draw_labelled(samples, labels, 0.1, 0, seed=3)
    assert np.bincount(labels[rows]).tolist() == [10, 6, 1]
    assert np.bincount(labels[draw_labelled(samples, labels, 0.01, 0, seed=3)]).tolist() == [
        1,
        1,
        1,
    ]  # at least one
    order = rng.permutation(len(labels))
    shuffled = draw_labelled([samples[at] for at in order], labels[order], 0.1, 0, seed=3)
    assert {samples[order[at]] for at in shuffled} == {samples[at] for at in rows}
    draws = [tuple(draw_labelled(samples, labels, 0.1, draw, seed=3)) for draw in range(5)]
    assert len(set(draws)) == 5
    assert tuple(draw_labelled(samples, labels, 0.1, 0, seed=4)) != draws[0]


def test_semi_draws_come_from_the_training_split_and_are_written_down(
    world: Path, clips: tuple[Clips, Clips]
) -> None:
    train, test = clips
    seen = {}
    for stream in CELLS["streams"]:
        drawn = tables.read(world / f"results/finetune/semi/{BENCHMARK}-{stream}/draws.parquet")
        seen[stream] = drawn.to_pylist()
        assert set(drawn["sample"].to_pylist()) <= set(train.samples)
        assert not set(drawn["sample"].to_pylist()) & set(test.samples)
    assert seen["joint"] == seen["bone"] == seen["motion"]
    found = json.loads(
        (world / f"results/finetune/semi/{BENCHMARK}-joint/metrics.json").read_text()
    )["c2vl"]
    assert list(found) == ["0.1", "0.5"]
    assert found["0.1"]["labelled"] == sum(
        row["fraction"] == 0.1 and row["draw"] == 0 for row in seen["joint"]
    )
    top1 = found["0.5"]["top1"]
    assert top1["mean"] == pytest.approx(sum(top1["values"]) / 2)
    assert top1["std"] == pytest.approx(abs(top1["values"][0] - top1["values"][1]) / 2**0.5)


def test_semi_killed_in_its_third_training_goes_on_there(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finished draws are not trained again; the output is that of a run that was not killed."""
    out = world / "results/finetune/semi" / f"{BENCHMARK}-joint"
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    steps: list[int] = []
    real = loop.backward

    def counted(*arguments: Any, **named: Any) -> torch.Tensor:
        steps.append(1)
        if len(steps) == stop:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    def run_anew(store: str) -> None:
        """As DVC does: the output is removed; the store has none of its trainings."""
        (tmp_path / store).mkdir(exist_ok=True)
        monkeypatch.setenv("C2VL_STORE", str(tmp_path / store))
        shutil.rmtree(out, ignore_errors=True)
        _run(monkeypatch, "semi", BENCHMARK, "joint")

    monkeypatch.setattr(loop, "backward", counted)
    monkeypatch.chdir(world)
    stop = 0
    run_anew("whole")
    whole, stop = (
        len(steps),
        len(steps) * 3 // 4,
    )  # the larger share is the third and fourth training
    steps.clear()
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run_anew("killed")
    steps.clear()
    stop = 0
    run_anew("killed")
    assert 0 < len(steps) < whole
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert not list((world / ".c2vl/training").rglob("semi*/**/state.pt"))


def test_fusion_of_finetuned_streams_by_hand(world: Path) -> None:
    weights = {"joint": 0.6, "bone": 0.6, "motion": 0.4}
    for start in ("c2vl", "scratch"):
        total: dict[str, np.ndarray] = {}
        label = {}
        for stream, weight in weights.items():
            table = tables.read(
                world / f"results/finetune/full/{BENCHMARK}-{stream}/scores.parquet"
            )
            for row in table.filter(pc.equal(table["start"], start)).to_pylist():
                total[row["sample"]] = total.get(row["sample"], 0) + weight * np.array(
                    row["scores"]
                )
                label[row["sample"]] = row["label"]
        right = np.mean(
            [int(np.argmax(scores)) == label[sample] for sample, scores in total.items()]
        )
        fused = metrics(world)["finetune"][BENCHMARK]["fusion"][start]
        assert fused["top1"] == pytest.approx(right)
        assert "best_on_test" not in fused
    semi = metrics(world)["semi"][BENCHMARK]["fusion_equal"]["c2vl"]["0.1"]
    assert len(semi["top1"]["values"]) == 2


def test_the_finetuned_network_is_a_checkpoint_with_the_scores_of_the_metrics(
    world: Path, clips: tuple[Clips, Clips]
) -> None:
    from c2vl.training.finetuning.finetune import class_scores

    folder = world / f"results/finetune/full/{BENCHMARK}-joint"
    network = load_checkpoint(folder).network
    scores = class_scores(network, clips[1].skeletons, "joint", 16)
    top1 = json.loads((folder / "metrics.json").read_text())["c2vl"]["top1"]
    assert (scores.argmax(1) == clips[1].labels).mean() == pytest.approx(top1)


def test_transfer_trains_on_the_target_alone(world: Path) -> None:
    found = metrics(world)["transfer"]["elsewhere"]
    assert (found["source"], found["train"] + found["test"], found["classes"]) == (
        BENCHMARK,
        31,
        CLASSES,
    )
    assert set(found["streams"]) == {"joint"} and set(found["streams"]["joint"]) == {
        "c2vl",
        "scratch",
    }
    scores = tables.read(world / "results/finetune/transfer/elsewhere/scores.parquet")
    target = tables.read(world / "data/targets/elsewhere/index/index.parquet")
    test = set(target.filter(pc.equal(target[BENCHMARK], "test"))["sample"].to_pylist())
    assert set(scores["sample"].to_pylist()) == test


def test_transfer_saves_the_encoder_that_made_the_scores(world: Path) -> None:
    folder = world / "results/finetune/transfer/elsewhere"
    saved = load_checkpoint(folder / "joint")
    assert saved.config.benchmark == BENCHMARK and saved.config.classes == CLASSES
    clips = load_clips(world / "data/targets/elsewhere", BENCHMARK, "test", "cpu")
    found = class_scores(saved.network, clips.skeletons, "joint", saved.config.frames)
    rows = tables.rows_of(tables.read(folder / "scores.parquet"))
    written = {row["sample"]: row["scores"] for row in rows if row["start"] == "c2vl"}
    expected = [written[sample] for sample in clips.samples]
    np.testing.assert_allclose(found, np.array(expected), atol=1e-6)


def test_transfer_to_pku_mmd_ii_from_its_raw_files(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two videos, of a training and of a test performer: three of 51 classes, no colour joints."""
    for name in ("A01N01-L", "A01N02-L"):
        (tmp_path / "raw/Skeleton").mkdir(parents=True, exist_ok=True)
        (tmp_path / "raw/Label").mkdir(exist_ok=True)
        (tmp_path / "raw/Skeleton" / f"{name}.txt").write_bytes(
            skeleton_text(long_joints(len(name), 150, second=(20, 50)))
        )
        labels = [
            (action, 25 * number, 25 * number + 20)
            for number, action in enumerate((48, 1, 8, 48, 1))
        ]
        (tmp_path / "raw/Label" / f"{name}.txt").write_bytes(label_text(labels))
    shutil.copytree(world / "results/pretrain", tmp_path / "results/pretrain")
    sections = yaml.safe_load((world / "params.yaml").read_text())
    sections["skeleton"] = {"rules": "ctrgcn", "max_failed": 0.1}
    target = {"dataset": "pku2", "raw": "raw", "benchmark": "xsub"}
    sections["transfer"] = {**SHORT, "batch": 4, "streams": ["joint"], "targets": {"pku2": target}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(sections))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("C2VL_WORKERS", "1")
    monkeypatch.setenv("C2VL_PREPARE", "threads")  # processes take seconds to start
    for stage in ("target_index", "target_skeleton", "transfer"):
        _run(monkeypatch, stage, "pku2")
    _run(monkeypatch, "protocols")
    found = metrics(tmp_path)["transfer"]["pku2"]
    assert (found["dataset"], found["train"], found["test"], found["classes"]) == ("pku2", 5, 5, 51)
    samples = tables.read(tmp_path / "results/finetune/transfer/pku2/scores.parquet")[
        "sample"
    ].to_pylist()
    assert len(set(samples)) == 5 and all("N002" in sample for sample in samples)


def test_protocols_gathers_without_any_transfer(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(world / "params.yaml", tmp_path)
    shutil.copytree(world / "results/finetune/full", tmp_path / "results/finetune/full")
    monkeypatch.chdir(tmp_path)
    _run(monkeypatch, "protocols")
    assert metrics(tmp_path)["transfer"] == {} and metrics(tmp_path)["semi"] == {}


def test_results_of_cells_and_targets_that_params_no_longer_name_do_not_count(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC does not delete their outputs."""
    shutil.copytree(world / "results/finetune", tmp_path / "results/finetune")
    sections = yaml.safe_load((world / "params.yaml").read_text())
    sections["finetune"]["streams"] = ["joint", "bone"]
    sections["transfer"]["targets"] = {}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(sections))
    monkeypatch.chdir(tmp_path)
    _run(monkeypatch, "protocols")
    found = metrics(tmp_path)
    assert set(found["finetune"][BENCHMARK]) == {"joint", "bone"} and found["transfer"] == {}
    sections["data"]["benchmarks"] = ["another"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(sections))
    _run(monkeypatch, "protocols")
    assert metrics(tmp_path) == {"finetune": {}, "semi": {}, "transfer": {}}


@pytest.mark.parametrize(
    ("section", "model", "value", "message"),
    [
        ("semi", SemiParams, {**CELLS, "fractions": [0.0]}, "between 0 and 1"),
        ("transfer", TransferTargets, {"streams": ["joint"], "targets": {"../up": {}}}, "targets"),
        (
            "transfer",
            TransferTargets,
            {
                "streams": ["joint"],
                "targets": {"x": {"dataset": "ntu60", "raw": "r", "benchmark": "xset"}},
            },
            "xset",
        ),
        ("finetune", FinetuneParams, {**CELLS, "starts": ["random"]}, "starts"),
    ],
)
def test_parameters_that_cannot_be_are_one_sentence(
    section: str, model: Any, value: Any, message: str, tmp_path: Path
) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({section: value}))
    with pytest.raises(UserError, match=message):
        load_section(section, model, tmp_path / "params.yaml")
