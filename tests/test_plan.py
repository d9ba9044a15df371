"""`c2vl plan`: counts what there is, scales what a trial measured, subtracts what the store has, touches nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from c2vl import tables
from c2vl.cli import main
from c2vl.commands.plan import duration, size, table
from c2vl.plan import estimate, trial
from c2vl.plan.estimate import Line, lines
from c2vl.plan.trial import Cost, chosen, costs
from c2vl.works import STAGES
from tests.ntu_text import record, text

ROOT = Path(__file__).resolve().parents[1]
BY_NAME = {stage.name: stage for stage in STAGES}
MEASURED = {  # of 2 samples, K = 4, of which one frame has no crop
    "skeleton": Cost(units=2, usable=2, seconds=1.0, fixed=3.0, bytes=2_000),
    "crop": Cost(units=8, usable=7, seconds=4.0, fixed=5.0, bytes=70_000),
    "caption": Cost(units=7, usable=7, seconds=14.0, fixed=6.0, bytes=700),
    "embed-vision": Cost(units=7, usable=7, seconds=0.7, fixed=2.0, bytes=7_000),
    "embed-language": Cost(units=7, usable=7, seconds=0.7, fixed=2.0, bytes=7_000),
}


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of 20 skeletons without videos, indexed."""
    for entry in ("checkpoints", "stages", "c2vl"):
        (tmp_path / entry).symlink_to(ROOT / entry)
    shutil.copy(ROOT / "profiles/demo.yaml", tmp_path / "params.yaml")
    folder = tmp_path / "data/studio"
    folder.mkdir(parents=True)
    for number in range(20):
        subject, action = 1 + number % 4, 1 + number // 4
        random = np.random.default_rng(number)
        moving = text(12, [record(random, frame, "72057594037931101") for frame in range(12)])
        (folder / f"S001C001P{subject:03d}R001A{action:03d}.skeleton").write_bytes(moving)
    (folder / "classes.txt").write_text("".join(f"class {number}\n" for number in range(5)))
    monkeypatch.chdir(tmp_path)
    for name in ("C2VL_HOME", "C2VL_STORE"):
        monkeypatch.delenv(name, raising=False)
    return folder


def test_the_trial_takes_samples_from_all_over_the_index() -> None:
    index = tables.table_of(
        [
            {"sample": f"S{n:03d}", "status": "excluded" if n % 2 else "ok", "video_file": "v" if n < 80 else None}
            for n in range(100)
        ],
        tables.schemas.index([]),
    )
    found = chosen(index, 4)
    assert pc.all(pc.equal(found["status"], "ok")).as_py() and found["video_file"].null_count == 0
    assert found["sample"].to_pylist() == ["S000", "S026", "S052", "S078"]


def test_stages_that_come_later_are_scaled_by_the_trials_ratio(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(estimate, "_counted", lambda stage: (None, 0))
    index = tables.table_of([{"sample": f"S{n}", "status": "ok"} for n in range(1000)], tables.schemas.index([]))
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


def test_what_the_store_has_is_subtracted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = {"skeleton": (0, 1000), "crop": (400, 3600), "caption": (0, 3100)}
    monkeypatch.setattr(estimate, "_counted", lambda stage: there.get(stage.name, (None, 0)))
    index = tables.table_of([{"sample": f"S{n}", "status": "ok"} for n in range(1000)], tables.schemas.index([]))
    found = {line.stage: line for line in lines(MEASURED, BY_NAME, index, tmp_path)}
    assert (found["skeleton"].todo, found["skeleton"].seconds) == (0, 0.0)
    assert (found["crop"].todo, found["crop"].has, found["crop"].exact) == (400, 3600, True)
    assert (found["caption"].todo, found["caption"].exact) == (350, False)


def planned(there: dict[str, tuple[int, int]], monkeypatch: pytest.MonkeyPatch, raw: Path) -> dict[str, Line]:
    monkeypatch.setattr(estimate, "_counted", lambda stage: there.get(stage.name, (None, 0)))
    index = tables.table_of(
        [{"sample": f"S{n}", "skeleton_file": "x.npz", "status": "ok"} for n in range(1000)], tables.schemas.index([])
    )
    return {line.stage: line for line in lines(MEASURED, BY_NAME, index, raw)}


def test_samples_that_were_filled_but_not_sealed_are_still_to_come_for_the_next_stage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = planned({"skeleton": (0, 1000), "crop": (0, 4000)}, monkeypatch, tmp_path)
    assert (found["crop"].todo, found["crop"].has) == (0, 4000)
    assert (found["caption"].todo, found["embed-language"].todo) == (3500, 3500)


def test_a_stage_that_is_made_anew_is_not_counted_twice_in_those_after_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """All skeletons anew, and an empty store: what the old tables hold and what comes are the same samples."""
    there = {"skeleton": (1000, 0), "crop": (4000, 0), "caption": (3500, 0), "embed-vision": (0, 3500)}
    found = planned(there, monkeypatch, tmp_path)
    assert [found[name].todo for name in MEASURED] == [1000, 4000, 3500, 3500, 3500]
    assert found["embed-vision"].has == 0 and not found["crop"].exact


def test_a_preprocessed_file_is_read_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"12345")
    assert planned({"skeleton": (10, 990)}, monkeypatch, tmp_path / "x.npz")["skeleton"].read == 5


@pytest.mark.slow
def test_a_trial_runs_the_real_stage_and_leaves_the_project_as_it_was(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from c2vl.commands import plan
    from stages.index import main as make_index

    make_index()
    before = sorted(path for path in raw.parents[1].rglob("*") if "checkpoints" not in path.parts)
    measured = dict(costs(chosen(tables.read(trial.INDEX), 3), STAGES[:1]))
    (cost,) = measured.values()
    assert cost.units == cost.usable == 3 and cost.seconds > 0 and cost.bytes > 0
    assert sorted(path for path in raw.parents[1].rglob("*") if "checkpoints" not in path.parts) == before
    (line,) = lines({"skeleton": cost}, BY_NAME, tables.read(trial.INDEX), raw)
    assert (line.todo, line.has, line.exact) == (20, 0, True)
    assert line.read == sum(path.stat().st_size for path in raw.glob("*.skeleton"))
    assert "skeleton" in plan.table([line])


def test_without_an_index_it_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    shutil.copy(ROOT / "profiles/demo.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["plan"])
    assert stopped.value.code and "dvc repro" in f"{stopped.value.code}{capsys.readouterr().err}"


def test_numbers_are_told_in_units_that_people_read() -> None:
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
