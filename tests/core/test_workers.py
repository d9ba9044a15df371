"""Worker processes give results in order; one that dies at any moment hangs nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from multiprocessing import active_children, connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from c2vl.core import workers
from c2vl.core.errors import UserError
from c2vl.core.workers import WorkersEndedError, in_processes, in_threads, singly


def made(number: int) -> dict[str, Any]:
    return {"array": np.full(1000, number), "tensor": torch.full((5,), number), "by": os.getpid()}


def killed_at(last: int, number: int) -> dict[str, Any]:
    if number == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return made(number)


def die(process: int) -> Any:
    if os.getpid() != process:
        os.kill(os.getpid(), signal.SIGKILL)
    return made


class DiesWhenItArrives:
    """A function that is larger than a pipe and ends the process that unpickles it."""

    ballast = b"." * 2**20

    def __reduce__(self) -> Any:
        return die, (os.getpid(),)

    def __call__(self, number: int) -> Any:
        raise AssertionError("it never arrives")


@pytest.fixture(autouse=True)
def _none_left() -> Iterator[None]:
    others = set(active_children())
    yield
    for process in set(active_children()) - others:
        process.join(20)
    assert set(active_children()) <= others


def test_processes_and_threads_give_the_same_in_order() -> None:
    with closing(in_threads(made, iter(range(20)), 3, 5)) as threads:
        expected = [(number, result["array"].tolist()) for number, result in threads]
    found = [*in_processes(made, iter(range(20)), 2)]
    assert [(number, result["array"].tolist()) for number, result in found] == expected
    assert all(result["tensor"].tolist() == [number] * 5 for number, result in found)
    assert os.getpid() not in {result["by"] for _, result in found}


@pytest.mark.parametrize("function", [partial(killed_at, 6), DiesWhenItArrives()], ids=type)
def test_a_worker_that_dies_is_noticed_and_what_it_was_given_comes_back(function: Any) -> None:
    done = []
    with pytest.raises(WorkersEndedError) as caught:
        for number, _ in in_processes(function, iter(range(20)), 1):
            done.append(number)
    assert caught.value.died
    lost = caught.value.items
    assert lost and [*done, *lost] == [*range(len(done) + len(lost))]


def killed_while_it_sends(number: int) -> Any:
    """Ends this process in the call by which it sends the second of its results."""
    if number == 2:
        end = partial(os.kill, os.getpid(), signal.SIGKILL)
        connection.Connection._send = lambda *_: end()  # type: ignore
    return {"rows": [bytes(100_000)] * 20, **made(number)}


def test_a_worker_that_is_killed_while_it_sends_a_large_result_hangs_nobody() -> None:
    with pytest.raises(WorkersEndedError) as caught:
        for _ in in_processes(killed_while_it_sends, iter(range(20)), 1):
            pass
    assert caught.value.died and caught.value.items[0] in (1, 2)  # 1 may not be fetched yet


def test_a_worker_that_is_killed_before_its_result_is_fetched_hangs_nobody() -> None:
    with pytest.raises(WorkersEndedError) as caught:
        for number, result in in_processes(made, iter(range(20)), 1):
            if number == 3:
                os.kill(result["by"], signal.SIGKILL)
    assert caught.value.items[0] >= 4


@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("bad", [{1, 2}, {0, 4}, {3}, set(), {0, 1, 2, 3, 4}])
def test_of_items_tried_in_one_process_only_those_that_end_it_twice_are_blamed(
    monkeypatch: pytest.MonkeyPatch, bad: set[int], lost: int
) -> None:
    """A worker that dies may also lose the last `lost` results that it had finished."""

    def stand_in(function: Any, items: Iterator[int], count: int) -> Iterator[tuple[int, Any]]:
        left = [*items]
        end = next((at for at, item in enumerate(left) if item in bad), None)
        for item in left[: None if end is None else max(0, end - lost)]:
            yield item, function(item)
        if end is not None:
            raise WorkersEndedError("died", left[max(0, end - lost) :], died=True, crashed=True)

    monkeypatch.setattr(workers, "in_processes", stand_in)
    found = [*singly(lambda number: 2 * number, [*range(5)])]
    assert [item for item, _ in found] == [*range(5)]
    assert {item for item, result in found if isinstance(result, WorkersEndedError)} == bad
    assert all(result == 2 * item for item, result in found if item not in bad)


def test_where_the_system_refuses_processes_the_caller_hears_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*given: Any, **named: Any) -> Any:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("multiprocessing.util.spawnv_passfds", refused)
    with pytest.raises(WorkersEndedError, match="Operation not permitted") as caught:
        next(in_processes(made, iter(range(3)), 2))
    assert not caught.value.died and caught.value.items == []


def test_a_function_that_cannot_be_sent_is_refused_before_a_process_starts() -> None:
    with pytest.raises(WorkersEndedError, match="pickle") as caught:
        next(in_processes(lambda number: number, iter(range(3)), 2))
    assert not caught.value.died


def refusing(number: int) -> Any:
    if number == 3:
        raise UserError("the disk is full")
    return number


def test_a_user_s_error_in_a_worker_is_raised_here() -> None:
    with pytest.raises(UserError, match="the disk is full"):
        for _ in in_processes(refusing, iter(range(9)), 1):
            pass


def test_an_error_of_the_items_is_not_taken_for_a_worker_s() -> None:
    def broken() -> Iterator[int]:
        yield 0
        raise OSError("no such table")

    with pytest.raises(OSError, match="no such table"):
        [*in_processes(made, broken(), 1)]


def test_where_the_system_refuses_another_priority_all_is_done_with_the_usual_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*given: Any) -> Any:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setpriority", refused)
    workers.step_back()


def dies_while_it_looks(number: int) -> int:
    """Keep the lock of torch's flag, if it has one, as a worker does that is killed just then."""
    frame = sys._getframe()
    while "done_event" not in frame.f_locals:
        assert frame.f_back is not None
        frame = frame.f_back
    if lock := getattr(frame.f_locals["done_event"], "_cond", None):
        lock.acquire()
    return number


def test_a_worker_that_is_killed_while_it_looks_whether_to_end_hangs_nobody() -> None:
    results = in_processes(dies_while_it_looks, iter(range(100)), 1)
    assert next(results) == (0, 0)
    closing_thread = threading.Thread(target=results.close, daemon=True)
    closing_thread.start()
    closing_thread.join(60)
    assert not closing_thread.is_alive()


def status(process: int) -> dict[str, str]:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return dict(line.split(":", 1) for line in lines)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells of signals here")
def test_workers_do_not_hear_an_interrupt_and_end_when_nobody_asks_them_any_more() -> None:
    results = in_processes(made, iter(range(100)), 2)
    processes = {next(results)[1]["by"] for _ in range(4)}
    for process in processes:
        bit = 1 << signal.SIGINT - 1
        blocked, ignored = (int(status(process)[name], 16) for name in ("SigBlk", "SigIgn"))
        assert blocked & bit and ignored & bit
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    results.close()
    for process in active_children():
        process.join(20)
    assert not any(Path(f"/proc/{process}").exists() for process in processes)


STAGE = """
import time
from test_workers import made
from c2vl.core.workers import in_processes
if __name__ == "__main__":
    for number, result in in_processes(made, iter(range(10**9)), 1):
        if number == 0:
            print(result["by"], flush=True)
        time.sleep(0.1)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent_however_it_ends(
    tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "stage.py").write_text(STAGE)
    here = str(Path(__file__).parent)
    environment = os.environ | {"PYTHONPATH": f"{here}:{os.environ.get('PYTHONPATH', '')}"}
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "stage.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.send_signal(number)
        parent.wait(60)
    deadline = time.monotonic() + 60
    while is_running(worker):
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.05)


def is_running(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"
