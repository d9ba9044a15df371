"""Threads and processes that work ahead of whoever uses their results, in order.

Processes are those of torch's `DataLoader`. What a worker is started with and each of its results
lie in shared memory, so that every message fits into a pipe at once: a worker that dies leaves no
half message behind that this process would wait for.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from multiprocessing.connection import wait
from typing import Any, TypeVar

from c2vl.core.errors import UserError
from c2vl.core.packing import packed, unpacked
from c2vl.core.spawn import Spawn

DYING_SECONDS = 1.0  # in which a worker whose result cannot be fetched is seen to have died
NOT_CRASHED = (None, 0, -signal.SIGKILL, -signal.SIGTERM)  # exit codes; None: still runs
NICE = 5  # of 19: an engine on the same core gets three quarters of its time

Item = TypeVar("Item")


class WorkersEndedError(Exception):
    """Worker processes could not start, or one of them died.

    Attributes:
        items: what they were given and did not return, in order.
        died: whether a worker died, perhaps for lack of memory; else none could be started.
        sent: whether the function can be pickled.
        crashed: whether one died of itself (abort, segmentation fault, exit) and was not killed:
            the cause is then most likely an item.
    """

    def __init__(
        self, reason: str, items: list[Any], died: bool, sent: bool = True, crashed: bool = False
    ) -> None:
        super().__init__(reason)
        self.items, self.died, self.sent, self.crashed = items, died, sent, crashed


def in_threads(
    function: Callable[[Item], Any], items: Iterator[Item], count: int, ahead: int
) -> Generator[tuple[Item, Any], None, None]:
    """Yield (item, `function(item)`) in order; `count` threads work up to `ahead` items ahead."""
    waiting: deque[tuple[Item, Future[Any]]] = deque()
    pool = ThreadPoolExecutor(count, "worker", step_back)
    try:
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) > ahead:
                first, result = waiting.popleft()
                yield first, result.result()
        while waiting:
            first, result = waiting.popleft()
            yield first, result.result()
    finally:
        pool.shutdown(cancel_futures=True)


def in_processes(
    function: Callable[[Item], Any], items: Iterator[Item], count: int
) -> Generator[tuple[Item, Any], None, None]:
    """Yield (item, `function(item)`) in order; `count` processes work two items each ahead.

    Arrays and tensors of a result lie in memory shared with its worker, and may be written to.

    Args:
        function: is pickled, as its items are; raises nothing but `UserError`.
        items: are asked for as they are needed.
        count: processes. They ignore Ctrl-C and end when this process does, however it ends.

    Raises:
        WorkersEndedError: a worker died, none could be started, or `function` cannot be pickled.
        UserError: `function` did.
    """
    try:
        task = _Task(function)
    except (pickle.PicklingError, TypeError, AttributeError, RuntimeError) as error:
        raise WorkersEndedError(_short(error), [], died=False, sent=False) from error
    waiting: deque[Item] = deque()
    ours: list[Exception] = []  # raised by `items`, not by the workers

    def noted() -> Iterator[Item]:
        try:
            for item in items:
                waiting.append(item)
                yield item
        except Exception as error:
            ours.append(error)
            raise

    others = set(multiprocessing.active_children())
    workers: set[Any] = set()
    # To fetch a result takes some words with its worker: another thread does it one result ahead.
    # In the main thread, besides, torch would raise errors anywhere, from SIGCHLD.
    fetcher = ThreadPoolExecutor(1, "fetch")
    try:
        try:
            results = fetcher.submit(_started, task, noted(), count).result()
        finally:
            workers = set(multiprocessing.active_children()) - others
        coming = fetcher.submit(next, results, None)
        while (result := coming.result()) is not None:
            coming = fetcher.submit(next, results, None)
            outcome = unpacked(result)
            if isinstance(outcome, UserError):
                raise outcome
            yield waiting.popleft(), outcome
    except (RuntimeError, OSError, EOFError) as error:
        if ours:
            raise
        sentinels = {worker.sentinel: worker for worker in workers}
        dead = [sentinels[one] for one in wait([*sentinels], DYING_SECONDS)]
        died = bool(dead)
        for worker in dead:
            worker.join(DYING_SECONDS)  # its pipes close a moment before its exit code is known
        crashed = any(worker.exitcode not in NOT_CRASHED for worker in workers)
        raise WorkersEndedError(_short(error), [*waiting], died, crashed=crashed) from error
    finally:
        for worker in workers:
            worker.kill()  # it has nothing to finish, and to start may take it long
        fetcher.shutdown()


def singly(
    function: Callable[[Item], Any], items: list[Item]
) -> Generator[tuple[Item, Any], None, None]:
    """Yield (item, `function(item)`) of items among which one may kill its process.

    All are done by one worker process. An item during which it dies is tried alone in another; if
    that dies too, the item's result is the `WorkersEndedError`.

    Raises:
        WorkersEndedError: no worker could be started.
        UserError: `function` did.
    """
    left = deque(items)
    while left:
        try:
            with closing(in_processes(function, iter([*left]), 1)) as done:
                for item, result in done:
                    left.popleft()
                    yield item, result
        except WorkersEndedError as error:
            if not error.died:
                raise
            yield _alone(function, left.popleft())


def _alone(function: Callable[[Item], Any], item: Item) -> tuple[Item, Any]:
    try:
        with closing(in_processes(function, iter([item]), 1)) as done:
            return next(done)
    except WorkersEndedError as error:
        if not error.died:
            raise
        return item, error


def _started(task: _Task, items: Iterator[Any], count: int) -> Iterator[Any]:
    """Start `count` processes that do `task` for each of `items`."""
    import torch
    from torch.utils.data import DataLoader

    with warnings.catch_warnings(), deaf_to_interrupts():
        warnings.simplefilter("ignore")  # of more workers than cores: the user asked for them
        loader: Any = DataLoader(
            task,  # type: ignore[arg-type]
            batch_size=None,
            sampler=items,
            collate_fn=_unchanged,
            num_workers=count,
            worker_init_fn=_begin,
            multiprocessing_context=Spawn(),
            generator=torch.Generator(),
        )
        return iter(loader)


class _Task:
    """A function for the worker processes, as the data set of a `DataLoader`.

    The function waits in shared memory. A pipe that a process dies in front of would hang its
    parent, and a processor's vocabulary is larger than a pipe.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._memory = packed(function)
        self._function: Callable[[Any], Any] | None = None

    def __getitem__(self, item: Any) -> Any:
        if self._function is None:
            self._function = unpacked(self._memory)
            gc.freeze()  # nothing that is there by now is garbage; looking through it takes long
        try:
            return packed(self._function(item))
        except UserError as error:
            return packed(error)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _unchanged(result: Any) -> Any:
    return result


def _begin(worker: int) -> None:
    follow_parent()
    step_back(2 * NICE)


def follow_parent() -> None:
    """Ignore Ctrl-C, and end when the parent ends: a killed stage must not leave workers behind."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()


@contextlib.contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Start processes inside that never hear Ctrl-C, which a terminal sends to them too.

    The thread that runs the block hears it at its end.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # else it starts with the first process and unblocks signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def step_back(by: int = NICE) -> None:
    """Lower this thread's priority on Linux: what is prepared ahead can wait, the engine cannot.

    Args:
        by: niceness above the main thread's; small for a thread, which may hold Python's lock.
    """
    if sys.platform == "linux":  # there a thread has a priority of its own
        with contextlib.suppress(OSError):
            usual = os.getpriority(os.PRIO_PROCESS, os.getpid())  # the main thread's
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(19, usual + by))
