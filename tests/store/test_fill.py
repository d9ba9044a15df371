"""In processes or threads, the table is the same; threads go on where processes end."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from standin_stage import Stage, Stop, world
from work_of_workers import (
    POISON,
    Dying,
    aborting,
    answered,
    decoded,
    killed,
    poisoned,
    too_large,
)

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.store import fill, publish, run
from c2vl.store import store as stores
from c2vl.store.fill import PREPARE
from c2vl.store.missing import missing_batches
from c2vl.store.plan import open_store, plan
from c2vl.store.share import Share
from c2vl.store.stage import Failure, Row, Unit


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("C2VL_WORKERS", "2")
    monkeypatch.delenv("C2VL_STORE", raising=False)
    monkeypatch.setattr(os, "fsync", lambda handle: None)


Pair = tuple[np.ndarray, int]  # a content's bytes, and the process that prepared them


class Pictures(Stage):
    """`Stage` whose items are prepared as arrays, here or elsewhere; notes which processes did."""

    def __init__(self, *given: Any, how: Callable[..., list[Any]] = decoded, **named: Any) -> None:
        super().__init__(*given, **named)
        self.how = how
        self.prepared_by: list[int] = []

    def preparer(self) -> Callable[..., list[Any]]:
        return self.how

    def compute(self, units: Sequence[Unit], ready: Sequence[Pair]) -> list[Row | Failure]:
        self.prepared_by += [process for _, process in ready]
        return super().compute(units, [array.tobytes() for array, _ in ready])


class Completed(Pictures):
    """`Pictures` whose rows are made after the engine; `threads` are those in which they were."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.threads: set[str] = set()

    def complete(
        self, units: Sequence[Unit], ready: Sequence[Pair], computed: Sequence[Any]
    ) -> list[Row | Failure]:
        self.threads.add(threading.current_thread().name)
        if any(array.tobytes().startswith(b"stumble") for array, _ in ready):
            raise ValueError("cannot be completed")
        return [
            {**row, "answer": f"{row['answer'].upper()} {unit.identity['k']} {len(array)}"}
            for unit, (array, _), row in zip(units, ready, computed, strict=True)
        ]


def stumbling() -> dict[str, list[bytes | None]]:
    """`contents` with an item that cannot be completed."""
    made = contents()
    made[list(made)[3]][1] = b"stumble"
    return made


@pytest.mark.parametrize(
    "large", [False, True], ids=["small batches", "batches that are waited for"]
)
def test_rows_are_completed_beside_the_engine_failures_in_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    made = {}
    for way in ("threads", "processes"):
        monkeypatch.setenv("C2VL_HOME", str(tmp_path / way))
        monkeypatch.setenv(PREPARE, way)
        if large:
            monkeypatch.setattr(publish, "FLUSH_BYTES", 0)
        stage = Completed(stumbling(), size=4)
        made[way] = written(stage, tmp_path / "out")
        assert all(name.startswith("write") for name in stage.threads)
    assert made["threads"] == made["processes"]
    rows = tables.read(tmp_path / "out", ["status", "reason"]).to_pylist()
    assert {"status": "error", "reason": "ValueError: cannot be completed"} in rows
    notes: dict[str, Any] = {}
    run.run(Completed(stumbling(), size=4), tmp_path / "out", notes)
    assert notes["computed"] == 0


def test_a_store_that_cannot_be_written_beside_the_engine_ends_the_stage_with_its_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "write_segment", refused_space)
    with pytest.raises(UserError, match=r"The store .* is on a full disk; free some space"):
        written(Completed(contents(), size=4), tmp_path / "out")


def refused_space(*given: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


def contents() -> dict[str, list[bytes | None]]:
    """With an item that cannot be decoded and one whose decoding raises."""
    made = world()
    first, second = list(made)[:2]
    made[first][0], made[second][2] = b"unreadable", b"raise"
    return made


def written(stage: Stage, out: Path) -> dict[str, bytes]:
    notes: dict[str, Any] = {}
    run.run(stage, out, notes)
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **named: Any) -> dict[str, bytes]:
    """What threads make, in a store of their own."""
    with monkeypatch.context() as patch:
        patch.setenv("C2VL_HOME", str(tmp_path / "threads-home"))
        patch.setenv(PREPARE, "threads")
        stage = Pictures(contents(), **named)
        made = written(stage, tmp_path / "threads")
    assert set(stage.prepared_by) == {os.getpid()}
    return made


def test_the_sealed_bytes_are_those_of_threads_failures_included(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = whole(tmp_path, monkeypatch)
    monkeypatch.setenv(PREPARE, "processes")
    stage = Pictures(contents())
    assert written(stage, tmp_path / "out") == expected
    assert os.getpid() not in stage.prepared_by


def test_auto_takes_threads_for_a_short_run_and_processes_for_a_long_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = whole(tmp_path, monkeypatch, size=1)
    monkeypatch.setenv(PREPARE, "auto")
    short = Pictures(contents(), size=1)
    written(short, tmp_path / "short")
    assert set(short.prepared_by) == {os.getpid()}
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "another-home"))
    monkeypatch.setattr(fill, "LONG", 8)
    long = Pictures(contents(), size=1)
    assert written(long, tmp_path / "long") == expected
    assert os.getpid() not in long.prepared_by


@pytest.mark.parametrize(
    "how",
    [killed, Dying()],
    ids=["at work", "at the start"],
)
def test_when_a_process_is_killed_threads_go_on_and_say_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    how: Callable[..., list[Any]],
) -> None:
    expected = whole(tmp_path, monkeypatch)
    monkeypatch.setenv(PREPARE, "processes")
    stage = Pictures(contents(), how=how)
    assert written(stage, tmp_path / "out") == expected
    assert set(stage.prepared_by) == {os.getpid()}
    message = "caption: a process that prepares ended, perhaps for lack of memory; threads go on"
    assert capfd.readouterr().out.count(message) == 1


@pytest.mark.slow
def test_an_item_that_kills_its_worker_twice_is_a_failed_row_and_the_rest_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = whole(tmp_path, monkeypatch, company=False)
    monkeypatch.setenv(PREPARE, "processes")
    ill = contents()
    names = [*ill]
    ill[names[2]][1], ill[names[-1]][0] = POISON
    work = Pictures(ill, how=poisoned, company=False)
    written(work, tmp_path / "out")
    assert os.getpid() not in work.prepared_by
    rows = {(row["sample"], row["k"]): row for row in tables.read(tmp_path / "out").to_pylist()}
    healthy = {
        (row["sample"], row["k"]): row for row in tables.read(tmp_path / "threads").to_pylist()
    }
    at = [(names[2], 1), (names[-1], 0)]
    for one in at:
        assert rows[one]["status"] == "crashed"
        assert "ended a worker process twice" in rows[one]["reason"]
    assert expected and all(rows[one] == healthy[one] for one in healthy if one not in at)
    assert "caption: a worker process crashed" in capfd.readouterr().err


class Whole(Stage):
    """`Stage` whose worker processes do all there is to do."""

    in_processes = True

    def __init__(self, *given: Any, how: Callable[..., list[Any]], **named: Any) -> None:
        super().__init__(*given, **named)
        self.how = how

    def preparer(self) -> Callable[..., list[Any]]:
        return self.how


@pytest.mark.slow
@pytest.mark.parametrize(("how", "workers"), [(aborting, "2"), (too_large, "1")])
def test_workers_that_do_whole_batches_set_aside_what_kills_them_twice(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: Callable[..., list[Any]],
    workers: str,
) -> None:
    monkeypatch.setenv("C2VL_WORKERS", workers)
    ill = world()
    name = list(ill)[5]
    ill[name][1] = POISON[0]
    notes: dict[str, Any] = {}
    if how is too_large:  # the first time this may be another program's fault
        with pytest.raises(UserError, match="a worker process was killed, most likely for lack"):
            run.run(Whole(ill, how=how), tmp_path / "out", {})
    run.run(Whole(ill, how=how), tmp_path / "out", notes)
    rows = {(row["sample"], row["k"]): row for row in tables.read(tmp_path / "out").to_pylist()}
    bad = {at: row["status"] for at, row in rows.items() if row["status"] != "ok"}
    assert bad.pop((name, 1)) == "crashed"
    assert set(bad.values()) == {"no_crop"}
    run.run(Whole(ill, how=answered), tmp_path / "out", notes)  # tried again by every run
    assert notes["computed"] == 1


def refused(*given: Any, **named: Any) -> Any:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_where_the_system_refuses_processes_threads_go_on_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = whole(tmp_path, monkeypatch)
    monkeypatch.setenv(PREPARE, "processes")
    with monkeypatch.context() as patch:
        patch.setattr("multiprocessing.util.spawnv_passfds", refused)
        stage = Pictures(contents())
        assert written(stage, tmp_path / "out") == expected
    assert set(stage.prepared_by) == {os.getpid()}
    message = "caption: no process can prepare ([Errno 1] Operation not permitted); threads go on"
    assert message in capfd.readouterr().out


def test_where_the_system_refuses_another_priority_all_is_done_with_the_usual_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = whole(tmp_path, monkeypatch)
    monkeypatch.setattr(os, "setpriority", refused)
    monkeypatch.setenv(PREPARE, "threads")
    assert written(Pictures(contents()), tmp_path / "out") == expected


def test_what_cannot_be_sent_to_a_process_is_said_and_prepared_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = whole(tmp_path, monkeypatch)
    monkeypatch.setenv(PREPARE, "processes")
    lock = threading.Lock()
    stage = Pictures(contents(), how=lambda given: decoded(given) if lock else [])
    assert written(stage, tmp_path / "out") == expected
    assert set(stage.prepared_by) == {os.getpid()}
    assert "caption: no process can prepare (Can't pickle" in capfd.readouterr().out


def test_an_engine_that_must_prepare_itself_does_so_without_a_word_in_a_long_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = whole(tmp_path, monkeypatch)
    monkeypatch.setattr(fill, "LONG", 1)
    capfd.readouterr()
    stage = Pictures(contents(), how=lambda given: decoded(given))
    assert written(stage, tmp_path / "out") == expected
    assert "threads" not in capfd.readouterr().out


def test_no_process_is_left_when_the_stage_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREPARE, "processes")
    stage = Pictures(contents(), raise_at=2)
    with pytest.raises(Stop):
        written(stage, tmp_path / "out")
    for process in set(stage.prepared_by):
        for _ in range(200):
            if not Path(f"/proc/{process}").exists():
                break
            threading.Event().wait(0.05)
        assert not Path(f"/proc/{process}").exists()


def test_another_value_of_the_variable_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREPARE, "fibres")
    with pytest.raises(
        UserError, match=r"C2VL_PREPARE must be one of auto, threads, processes, not 'fibres'"
    ):
        written(Pictures(contents()), tmp_path / "out")


@pytest.mark.parametrize("start", [0.0, 0.3, 0.99])
def test_a_fill_that_begins_elsewhere_computes_the_same_batches(start: float) -> None:
    def batches_from(begin: float) -> list[list[bytes | None]]:
        stage = Stage(world(3, 24), size=4)
        store, _ = open_store(stage)
        planned = plan(stage, store)
        return [
            [unit.key for unit in batch]
            for batch in missing_batches(store, stage, planned.missing, 4, planned.units, begin)
        ]

    plain, rotated = batches_from(0.0), batches_from(start)
    assert sorted(plain) == sorted(rotated)
    assert (plain == rotated) == (start == 0.0)


def test_processes_with_one_share_compute_each_unit_at_most_once_each(tmp_path: Path) -> None:
    stages = [Stage(world(), size=4, company=False) for _ in range(4)]
    notes: list[dict[str, Any]] = [{} for _ in stages]
    workers = [
        threading.Thread(target=run.fill_share, args=(stage, tmp_path / "out", Share(), note))
        for stage, note in zip(stages, notes, strict=True)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    good = {key for stage in stages for key in stage.asked if not key.startswith(b"bad")}
    assert all(len(stage.asked) == len(set(stage.asked)) for stage in stages)
    assert len(good) <= sum(note["computed"] for note in notes) <= len(stages) * len(good)
    done: dict[str, Any] = {}
    run.run(Stage(world(), size=4, company=False), tmp_path / "out", done)
    assert done["computed"] == 0
