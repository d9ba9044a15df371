"""Prepared in processes instead of threads, a stage's out is the same; what goes wrong there is said or done here."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from standin_stage import Stage, Stop, world

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.store import batch, crew, publisher, readers, run
from c2vl.store.handover import AVAILABLE
from c2vl.store.readers import WAY
from c2vl.store.work import Failure, Row, Unit

needs_processes = pytest.mark.skipif(
    not AVAILABLE, reason="this system has no memory without a name to share"
)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("C2VL_WORKERS", "2")
    monkeypatch.delenv("C2VL_STORE", raising=False)
    monkeypatch.setattr(os, "fsync", lambda handle: None)


Pair = tuple[np.ndarray, int]  # a content's bytes, and the process that prepared them


def decoded(contents: Sequence[bytes]) -> list[Any]:
    if any(content.startswith(b"raise") for content in contents):
        raise ValueError("not a picture")
    return [
        Failure("unreadable", "no picture at all")
        if content.startswith(b"unreadable")
        else (np.frombuffer(content, np.uint8).copy(), os.getpid())
        for content in contents
    ]


def killed(contents: Sequence[bytes]) -> list[Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return []


def die(process: int, ballast: bytes) -> Any:
    """What a process other than `process` finds in place of a preparer."""
    if os.getpid() != process:
        os._exit(1)
    return decoded


class Dying:
    """A preparer that is too much for the process that it is sent to."""

    def __reduce__(self) -> Any:
        return die, (os.getpid(), b"." * 2**20)


class Pictures(Stage):
    """`Stage` whose items are prepared as arrays, here or elsewhere; notes which processes did."""

    def __init__(
        self, *given: Any, how: Callable[..., list[Any]] | None = decoded, **named: Any
    ) -> None:
        super().__init__(*given, **named)
        self.how = how
        self.prepared_by: list[int] = []

    def preparer(self) -> Callable[..., list[Any]] | None:
        return self.how

    def columns(self, units: Sequence[Unit]) -> tuple[Sequence[Any], ...]:
        return ([unit.payload for unit in units],)

    def prepare(self, units: Sequence[Unit]) -> list[Any]:
        return decoded(*self.columns(units))

    def compute(self, units: Sequence[Unit], ready: Sequence[Pair]) -> list[Row | Failure]:
        self.prepared_by += [process for _, process in ready]
        return super().compute(units, [array.tobytes() for array, _ in ready])


def upper(ready: Sequence[Pair], suffixes: Sequence[str], answers: Sequence[Row]) -> list[Any]:
    """Rows of prepared items and of what was computed; says which process made each."""
    made: list[Any] = [
        {**answer, "answer": f"{answer['answer'].upper()} {suffix} {len(array)}"}
        for (array, _), suffix, answer in zip(ready, suffixes, answers, strict=True)
    ]
    if any(array.tobytes().startswith(b"stumble") for array, _ in ready):
        raise ValueError("cannot be completed")
    return made


def upper_elsewhere(folder: str, *columns: Any) -> list[Any]:
    Path(folder, str(os.getpid())).touch()
    return upper(*columns)


def upper_until_killed(folder: str, *columns: Any) -> list[Any]:
    if len(os.listdir(folder)) >= 3:
        os.kill(os.getpid(), signal.SIGKILL)
    Path(folder, f"{os.getpid()}-{time.monotonic_ns()}").touch()
    return upper(*columns)


class Completed(Pictures):
    """`Pictures` whose rows are made after the engine, here or elsewhere; `by` is a folder of names of processes that did."""

    def __init__(
        self, by: Path, *given: Any, makes: Callable[..., list[Any]] = upper_elsewhere, **named: Any
    ) -> None:
        super().__init__(*given, **named)
        self.by, self.makes = by, makes
        by.mkdir(exist_ok=True)

    def completer(self) -> Callable[..., list[Any]]:
        return partial(self.makes, str(self.by))

    def to_complete(
        self, units: Sequence[Unit], computed: Sequence[Any]
    ) -> tuple[Sequence[Any], ...]:
        return [str(unit.identity["k"]) for unit in units], computed

    def completed(
        self, units: Sequence[Unit], ready: Sequence[Any], computed: Sequence[Any]
    ) -> list[Row | Failure]:
        (self.by / "here").touch()
        return upper(ready, *self.to_complete(units, computed))


def completed_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, list[bytes | None]]
) -> dict[str, bytes]:
    """What threads make, in a store of their own."""
    with monkeypatch.context() as patch:
        patch.setenv("C2VL_HOME", str(tmp_path / "threads-home"))
        patch.setenv(WAY, "threads")
        work = Completed(tmp_path / "threads-by", given, size=4)
        made = sealed(work, tmp_path / "threads")
    assert [path.name for path in work.by.iterdir()] == ["here"]
    return made


def stumbling() -> dict[str, list[bytes | None]]:
    """`contents` with an item that cannot be completed."""
    made = contents()
    made[list(made)[3]][1] = b"stumble"
    return made


@needs_processes
@pytest.mark.parametrize(
    "large", [False, True], ids=["small batches", "batches that are waited for"]
)
def test_what_processes_complete_and_write_themselves_is_sealed_as_what_threads_do_failures_in_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    expected = completed_whole(tmp_path, monkeypatch, stumbling())
    monkeypatch.setenv(WAY, "processes")
    if large:
        monkeypatch.setattr(publisher, "FLUSH_BYTES", 0)
    work = Completed(tmp_path / "by", stumbling(), size=4)
    assert sealed(work, tmp_path / "out") == expected
    by = {path.name for path in work.by.iterdir()}
    assert by and by <= {str(process) for process in set(work.prepared_by) - {os.getpid()}}
    rows = tables.read(tmp_path / "out", ["status", "reason"]).to_pylist()
    assert {"status": "error", "reason": "ValueError: cannot be completed"} in rows
    notes: dict[str, Any] = {}
    run.run(Completed(tmp_path / "by", stumbling(), size=4), tmp_path / "out", notes)
    assert notes["computed"] == 0


@needs_processes
def test_when_the_process_that_completes_is_killed_threads_complete_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = completed_whole(tmp_path, monkeypatch, contents())
    monkeypatch.setenv(WAY, "processes")
    work = Completed(tmp_path / "by", contents(), size=4, makes=upper_until_killed)
    assert sealed(work, tmp_path / "out") == expected
    assert {"here"} < {path.name for path in work.by.iterdir()}
    said = "caption: a process that prepares ended, perhaps for lack of memory; threads go on"
    assert capfd.readouterr().out.count(said) == 1


@needs_processes
def test_a_store_that_a_process_cannot_write_ends_the_stage_with_its_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WAY, "processes")
    work = Completed(tmp_path / "by", contents(), size=4, makes=no_space)
    with pytest.raises(UserError, match=r"The store .* is on a full disk; free some space"):
        sealed(work, tmp_path / "out")


def no_space(folder: str, *columns: Any) -> list[Any]:
    vars(batch)["write_segment"] = refused_space  # of the process that completes
    return upper(*columns)


def refused_space(*given: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


def contents() -> dict[str, list[bytes | None]]:
    """With an item that cannot be decoded and one whose decoding raises."""
    made = world()
    first, second = list(made)[:2]
    made[first][0], made[second][2] = b"unreadable", b"raise"
    return made


def sealed(work: Stage, out: Path) -> dict[str, bytes]:
    notes: dict[str, Any] = {}
    run.run(work, out, notes)
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **named: Any) -> dict[str, bytes]:
    """What threads make, in a store of their own."""
    with monkeypatch.context() as patch:
        patch.setenv("C2VL_HOME", str(tmp_path / "threads-home"))
        patch.setenv(WAY, "threads")
        work = Pictures(contents(), **named)
        made = sealed(work, tmp_path / "threads")
    assert set(work.prepared_by) == {os.getpid()}
    return made


@needs_processes
def test_the_sealed_bytes_are_those_of_threads_failures_included(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = whole(tmp_path, monkeypatch)
    monkeypatch.setenv(WAY, "processes")
    work = Pictures(contents())
    assert sealed(work, tmp_path / "out") == expected
    assert os.getpid() not in work.prepared_by


@needs_processes
def test_auto_stays_with_threads_for_a_short_run_and_changes_over_within_a_long_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = whole(tmp_path, monkeypatch, size=1)
    monkeypatch.setenv(WAY, "auto")
    monkeypatch.setattr(readers, "AFTER", 0.1)
    monkeypatch.setattr(readers, "WORTH", 1e6)
    short = Pictures(contents(), size=1, delay=0.02)
    sealed(short, tmp_path / "short")
    assert set(short.prepared_by) == {os.getpid()}
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "another-home"))
    monkeypatch.setattr(readers, "WORTH", 0.0)
    up = crew.Crew.is_up
    monkeypatch.setattr(
        crew.Crew, "is_up", lambda self: bool(self.wait()) or up(self)
    )  # however slow the start
    long = Pictures(contents(), size=1, delay=0.02)
    assert sealed(long, tmp_path / "long") == expected
    assert long.prepared_by[0] == os.getpid() != long.prepared_by[-1]


@needs_processes
@pytest.mark.parametrize(
    "how",
    [killed, Dying()],
    ids=["at work", "at the start, with more sent to it than a pipe holds"],
)
def test_when_a_process_is_killed_threads_go_on_and_say_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    how: Callable[..., list[Any]],
) -> None:
    expected = whole(tmp_path, monkeypatch)
    monkeypatch.setenv(WAY, "processes")
    work = Pictures(contents(), how=how)
    assert sealed(work, tmp_path / "out") == expected
    assert set(work.prepared_by) == {os.getpid()}
    said = "caption: a process that prepares ended, perhaps for lack of memory; threads go on"
    assert capfd.readouterr().out.count(said) == 1


def refused(*given: Any, **named: Any) -> Any:
    raise PermissionError(errno.EPERM, "Operation not permitted")


@needs_processes
@pytest.mark.parametrize(
    "call", ["os.memfd_create", "os.pipe", "multiprocessing.util.spawnv_passfds"]
)
def test_where_the_system_refuses_processes_or_memory_to_share_threads_go_on_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], call: str
) -> None:
    expected = whole(tmp_path, monkeypatch)
    monkeypatch.setenv(WAY, "processes")
    with monkeypatch.context() as patch:
        patch.setattr(call, refused)
        work = Pictures(contents())
        assert sealed(work, tmp_path / "out") == expected
    assert set(work.prepared_by) == {os.getpid()}
    assert (
        "caption: no process can prepare ([Errno 1] Operation not permitted); threads go on"
        in capfd.readouterr().out
    )


def test_where_processes_are_asked_for_and_cannot_be_had_threads_do_it_and_a_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(readers, "POSSIBLE", False)
    expected = whole(tmp_path, monkeypatch)
    assert "processes" not in capfd.readouterr().out
    monkeypatch.setenv(WAY, "processes")
    assert sealed(Pictures(contents()), tmp_path / "out") == expected
    assert "caption: processes prepare on Linux" in capfd.readouterr().out


def test_where_the_system_refuses_another_priority_all_is_done_with_the_usual_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = whole(tmp_path, monkeypatch)
    monkeypatch.setattr(os, "setpriority", refused)
    monkeypatch.setenv(WAY, "threads")
    assert sealed(Pictures(contents()), tmp_path / "out") == expected


@needs_processes
def test_batches_that_wait_for_their_turn_when_processes_are_given_up_are_prepared_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = whole(tmp_path, monkeypatch, size=1)
    monkeypatch.setenv(WAY, "processes")
    monkeypatch.setenv("C2VL_WORKERS", "8")
    monkeypatch.setattr(readers, "MOST_PROCESSES", 1)
    monkeypatch.setattr(crew.Crew, "open", refused)
    assert sealed(Pictures(contents(), size=1), tmp_path / "out") == expected
    assert capfd.readouterr().out.count("caption: no process can prepare") == 1


def fallen_asleep() -> Any:
    time.sleep(60)


class Slow:
    """A preparer that takes long to arrive."""

    def __reduce__(self) -> Any:
        return fallen_asleep, ()


@needs_processes
def test_processes_that_start_do_not_hear_an_interrupt_and_end_at_once_when_they_are_dismissed() -> (
    None
):
    others = set(active_children())
    starting = crew.Crew(Slow(), 2, 1)  # type: ignore[arg-type]
    started = set(active_children()) - others
    assert len(started) == 2
    for process in started:
        status = dict(
            line.split(":", 1)
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
        )
        assert int(status["SigBlk"], 16) & 1 << signal.SIGINT - 1
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert not starting.is_up()
    starting.dismiss()
    for process in started:
        process.join(20)
        for _ in range(
            200
        ):  # the pool's own thread waits for them, too; who comes second hears of the end a moment later
            if process.exitcode is not None:
                break
            time.sleep(0.05)
        assert process.exitcode == -signal.SIGKILL


@needs_processes
def test_what_cannot_be_sent_to_a_process_is_said_and_prepared_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = whole(tmp_path, monkeypatch)
    monkeypatch.setenv(WAY, "processes")
    lock = threading.Lock()
    work = Pictures(contents(), how=lambda given: decoded(given) if lock else [])
    assert sealed(work, tmp_path / "out") == expected
    assert set(work.prepared_by) == {os.getpid()}
    assert "caption: no process can prepare (Can't pickle" in capfd.readouterr().out


@needs_processes
def test_an_engine_that_must_prepare_itself_does_so_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = whole(tmp_path, monkeypatch)
    monkeypatch.setenv(WAY, "processes")
    capfd.readouterr()
    assert sealed(Pictures(contents(), how=None), tmp_path / "out") == expected
    assert "threads" not in capfd.readouterr().out


@needs_processes
def test_no_process_is_left_when_the_stage_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WAY, "processes")
    work = Pictures(contents(), raise_at=2)
    with pytest.raises(Stop):
        sealed(work, tmp_path / "out")
    for process in set(work.prepared_by):
        for _ in range(200):
            if not Path(f"/proc/{process}").exists():
                break
            threading.Event().wait(0.05)
        assert not Path(f"/proc/{process}").exists()


def test_another_value_of_the_variable_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WAY, "fibres")
    with pytest.raises(
        UserError, match=r"C2VL_PREPARE must be one of auto, threads, processes, not 'fibres'"
    ):
        sealed(Pictures(contents()), tmp_path / "out")
