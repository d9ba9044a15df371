"""`c2vl plan`: counts units, scales a trial, subtracts what the store has, changes nothing."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from ntu_text import record, text

from c2vl.cli import main
from c2vl.commands.costs import estimate, trial
from c2vl.commands.costs.estimate import Line, lines
from c2vl.commands.costs.trial import Cost, Failed, chosen, costs
from c2vl.commands.pipeline.store_stages import STAGES, StoredStage, stages_in_use
from c2vl.commands.plan import duration, size, table
from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.prompts.engines import batching
from stages.index import main as make_index

ROOT = Path(__file__).resolve().parents[2]
BY_NAME = {stage.name: stage for stage in STAGES}
MEASURED = {  # 2 samples with 4 frames each; one frame has no crop
    "skeleton": Cost(units=2, usable=2, each=0.5, fixed=3.0, bytes=2_000),
    "crop": Cost(units=8, usable=7, each=0.5, fixed=5.0, bytes=70_000),
    "caption": Cost(units=7, usable=7, each=2.0, fixed=6.0, bytes=700),
    "embed-vision": Cost(units=7, usable=7, each=0.1, fixed=2.0, bytes=7_000),
    "embed-language": Cost(units=7, usable=7, each=0.1, fixed=2.0, bytes=7_000),
}


def filmed(count: int) -> pa.Table:
    """An index of samples that all have a video."""
    rows = [
        {"sample": f"S{n}", "skeleton_file": "x.npz", "video_file": "v.avi", "status": "ok"}
        for n in range(count)
    ]
    return tables.table_of(rows, tables.schemas.index([]))


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of 20 skeletons without videos, in a folder beside it."""
    project, folder = tmp_path / "project", tmp_path / "raw"
    for made in (project, folder):
        made.mkdir()
    for entry in ("checkpoints", "stages", "c2vl"):
        (project / entry).symlink_to(ROOT / entry)
    params = yaml.safe_load((ROOT / "profiles/demo.yaml").read_text())
    params["data"]["raw"] = "../raw"
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    for number in range(20):
        subject, action = 1 + number % 4, 1 + number // 4
        random = np.random.default_rng(number)
        moving = text(12, [record(random, frame, "72057594037931101") for frame in range(12)])
        (folder / f"S001C001P{subject:03d}R001A{action:03d}.skeleton").write_bytes(moving)
    (folder / "classes.txt").write_text("".join(f"class {number}\n" for number in range(5)))
    monkeypatch.chdir(project)
    for name in ("C2VL_HOME", "C2VL_STORE"):
        monkeypatch.delenv(name, raising=False)
    return folder


def test_the_trial_takes_samples_spread_over_the_index() -> None:
    index = tables.table_of(
        [
            {
                "sample": f"S{n:03d}",
                "status": "excluded" if n % 2 else "ok",
                "video_file": "v" if n < 80 else None,
            }
            for n in range(100)
        ],
        tables.schemas.index([]),
    )
    found = chosen(index, 4)
    assert pc.all(pc.equal(found["status"], "ok")).as_py() and found["video_file"].null_count == 0
    assert found["sample"].to_pylist() == ["S000", "S026", "S052", "S078"]


def test_later_stages_are_scaled_by_the_ratio_of_the_trial(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(estimate, "_counted", lambda stage: (None, 0))
    index = tables.table_of(
        [{"sample": f"S{n}", "video_file": "v.avi", "status": "ok"} for n in range(1000)],
        tables.schemas.index([]),
    )
    found = {line.stage: line for line in lines(MEASURED, BY_NAME, index, tmp_path)}
    assert {name: line.todo for name, line in found.items()} == {
        "skeleton": 1000,
        "crop": 4000,
        "caption": 3500,
        "embed-vision": 3500,
        "embed-language": 3500,
    }
    assert found["caption"].seconds == pytest.approx(3500 * 2 + 6) and not found["caption"].exact
    assert found["crop"].written == 4000 * 10_000
    assert (found["caption"].read, found["embed-vision"].read) == (
        3500 * 10_000,
        3500 * 10_000,
    )  # crops
    assert found["embed-language"].read == 3500 * 100  # answers


def test_what_the_store_has_is_subtracted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = {"skeleton": (0, 1000), "crop": (400, 3600), "caption": (0, 3100)}
    monkeypatch.setattr(estimate, "_counted", lambda stage: there.get(stage.name, (None, 0)))
    index = tables.table_of(
        [{"sample": f"S{n}", "video_file": "v.avi", "status": "ok"} for n in range(1000)],
        tables.schemas.index([]),
    )
    found = {line.stage: line for line in lines(MEASURED, BY_NAME, index, tmp_path)}
    assert (found["skeleton"].todo, found["skeleton"].seconds) == (0, 0.0)
    assert (found["crop"].todo, found["crop"].has, found["crop"].exact) == (400, 3600, True)
    assert (found["caption"].todo, found["caption"].exact) == (350, False)


def planned(
    there: dict[str, tuple[int, int]], monkeypatch: pytest.MonkeyPatch, raw: Path
) -> dict[str, Line]:
    monkeypatch.setattr(estimate, "_counted", lambda stage: there.get(stage.name, (None, 0)))
    return {line.stage: line for line in lines(MEASURED, BY_NAME, filmed(1000), raw)}


def test_results_without_an_output_table_are_still_inputs_of_the_next_stage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = planned({"skeleton": (0, 1000), "crop": (0, 4000)}, monkeypatch, tmp_path)
    assert (found["crop"].todo, found["crop"].has) == (0, 4000)
    assert (found["caption"].todo, found["embed-language"].todo) == (3500, 3500)


def test_a_stage_that_runs_again_is_not_counted_twice_in_later_stages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The store is empty: the samples of the old tables and those to compute are the same."""
    there = {
        "skeleton": (1000, 0),
        "crop": (4000, 0),
        "caption": (3500, 0),
        "embed-vision": (0, 3500),
    }
    found = planned(there, monkeypatch, tmp_path)
    assert [found[name].todo for name in MEASURED] == [1000, 4000, 3500, 3500, 3500]
    assert found["embed-vision"].has == 0 and not found["crop"].exact


def test_a_preprocessed_file_is_read_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"12345")
    assert planned({"skeleton": (10, 990)}, monkeypatch, tmp_path / "x.npz")["skeleton"].read == 5


def test_only_samples_with_a_video_are_cropped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(estimate, "_counted", lambda stage: (None, 0))
    rows = [
        {"sample": f"S{n}", "video_file": "v.avi" if n < 400 else None, "status": "ok"}
        for n in range(1000)
    ]
    rows += [{"sample": f"X{n}", "video_file": "v.avi", "status": "excluded"} for n in range(500)]
    found = {
        line.stage: line
        for line in lines(
            MEASURED, BY_NAME, tables.table_of(rows, tables.schemas.index([])), tmp_path
        )
    }
    assert [found[name].todo for name in MEASURED] == [1000, 1600, 1400, 1400, 1400]


def test_published_sentences_of_skeletons_alone_are_counted_by_sample(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(estimate, "_counted", lambda stage: (None, 0))
    index = tables.table_of(
        [{"sample": f"S{n}", "status": "ok"} for n in range(1000)], tables.schemas.index([])
    )
    nothing = Cost(units=0, usable=0, each=0.0, fixed=1.0, bytes=0)
    measured = {
        **MEASURED,
        "crop": nothing,
        "embed-vision": nothing,
        "caption": Cost(6, 6, 0.001, 1.0, 600),
    }
    found = {line.stage: line for line in lines(measured, BY_NAME, index, tmp_path)}
    assert [found[name].todo for name in MEASURED] == [1000, 0, 3000, 0, 3500]


def recorded(**values: float) -> dict[str, float]:
    return {"failed": 0, "first_units": 0, "later_seconds": 0.0, "engine_seconds": 0.0} | values


def test_an_engine_is_timed_from_its_second_batch_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """24 units: a first batch of 16 in 5 s, start-up included, then 8 in 0.8 s."""
    record = recorded(
        computed=23, failed=1, seconds=20.0, fill_seconds=6.0, first_units=16, later_seconds=0.8
    )
    monkeypatch.setattr(trial, "_run", lambda *_: record)
    found = trial.cost(BY_NAME["caption"], tmp_path, tables.schemas.index([]).empty_table())
    assert (found.units, found.usable) == (24, 23)
    assert found.each == pytest.approx(0.1) and found.fixed == pytest.approx(20 - 2.4)


def test_starting_worker_processes_does_not_count_towards_the_rate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """6 samples in 3 s, then 200 more in 4 s: 5 ms each, and 3 s to start."""
    few, many = (tables.schemas.index([]).empty_table() for _ in range(2))
    runs = iter(
        [
            recorded(computed=6, seconds=5.0, fill_seconds=3.03),
            recorded(computed=206, seconds=6.0, fill_seconds=4.03),
            {},
        ]
    )
    monkeypatch.setattr(trial, "_run", lambda *_: next(runs))
    found = trial.cost(BY_NAME["skeleton"], tmp_path, few, many)
    assert found.each == pytest.approx(0.005) and found.fixed == pytest.approx(4.97)


def test_a_failed_trial_is_reported_and_the_other_stages_are_planned(
    monkeypatch: pytest.MonkeyPatch, raw: Path
) -> None:
    def fails(stage: StoredStage, folder: Path, index: object, many: object = None) -> Cost:
        assert (many is not None) == (
            stage.name == "skeleton"
        )  # its processes start longer than samples take
        if stage.name == "caption":
            raise UserError("The trial of caption failed: no server.")
        return MEASURED[stage.name]

    monkeypatch.setattr(trial, "cost", fails)
    make_index()
    index = tables.read(trial.INDEX)
    found = {stage.name: cost for stage, cost in costs(index, 3, stages_in_use())}
    assert {name for name, cost in found.items() if isinstance(cost, Cost)} == {
        "skeleton",
        "crop",
        "embed-vision",
    }
    assert found["caption"] == Failed("The trial of caption failed: no server.")
    assert found["embed-language"] == Failed("embed-language needs caption, whose trial failed.")
    laid = table(lines(found, BY_NAME, index, raw)).splitlines()
    assert [line.split()[0] for line in laid if line.endswith("?")] == ["caption", "embed-language"]


def test_parameters_work_in_the_temporary_project(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    params = {
        "data": {"raw": "../raw"},
        "crop": {"max_failed": 0.1, "detector": {"model": "weights/x", "prompt": "person."}},
        "caption": {"captioner": {"question": "Is he... or she?", "model": "a/b"}},
        "targets": [{"raw": "/there/../raw"}],
    }
    found = trial.portable_params(params)
    assert (
        found["data"]["raw"] == str(tmp_path.parent / "raw")
        and found["targets"][0]["raw"] == "/raw"
    )
    assert (
        found["crop"] == {**params["crop"], "max_failed": 1.0}
        and found["caption"] == params["caption"]
    )


def test_measured_batch_sizes_are_copied_into_a_trial_and_back(
    raw: Path,
) -> None:
    trial.INDEX.parent.mkdir(parents=True)
    (trial.INDEX.parent / "classes.json").write_text("[]")
    batching.keep_batch("a card, detector", 8)
    with trial.project() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("C2VL_HOME", str(folder / ".c2vl"))
        assert batching.known_batch("a card, detector") == 8
        batching.keep_batch("a card, captioner", 32)
    assert [batching.known_batch(f"a card, {name}") for name in ("detector", "captioner")] == [
        8,
        32,
    ]
    assert [path.name for path in Path(".c2vl").iterdir()] == ["machine.json"]


@pytest.mark.slow
def test_a_trial_runs_the_real_stage_and_leaves_the_project_as_it_was(
    raw: Path, python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`data.raw` is relative to the project: `../raw`."""
    monkeypatch.setattr(sys, "executable", str(python / "python"))
    make_index()
    project = Path.cwd()
    before = sorted(path for path in project.rglob("*") if "checkpoints" not in path.parts)
    measured = dict(costs(tables.read(trial.INDEX), 3, [BY_NAME["skeleton"]]))
    (cost,) = measured.values()
    assert isinstance(cost, Cost), cost.reason
    assert cost.units == cost.usable == 3 and 0 < cost.each < cost.fixed and cost.bytes > 0
    assert sorted(path for path in project.rglob("*") if "checkpoints" not in path.parts) == before
    (line,) = lines({"skeleton": cost}, BY_NAME, tables.read(trial.INDEX), raw)
    assert (line.todo, line.has, line.exact) == (20, 0, True)
    assert line.read == sum(path.stat().st_size for path in raw.glob("*.skeleton"))
    assert "skeleton" in table([line])


def test_without_an_index_the_error_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    shutil.copy(ROOT / "profiles/demo.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["plan"])
    assert (
        stopped.value.code and "dvc repro index" in f"{stopped.value.code}{capsys.readouterr().err}"
    )


def test_bytes_and_seconds_have_readable_units() -> None:
    assert [size(n) for n in (512, 2048, 5 * 2**20, 30 * 2**30, 3 * 2**40)] == [
        "512 B",
        "2.0 KiB",
        "5.0 MiB",
        "30 GiB",
        "3,072 GiB",
    ]
    assert [duration(s) for s in (20, 600, 36_000)] == ["20 s", "10 min", "10.0 h"]
    text = table([Line("crop", 10, 1_000_000, False, 36_000, 2**30, 2**20)])
    assert "~1,000,000" in text and "~10.0 h" in text
