"""Who prepares batches ahead of the engine: threads at first, processes as soon as a long run is worth starting some.

A thread that prepares and the thread that runs the engine hand Python's lock to and fro, and an engine of many small kernels
loses a tenth to a fifth of its time to that. A process costs seconds to start, and memory. What comes out is the same.
"""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import Any

from c2vl.errors import UserError
from c2vl.machine import workers_each
from c2vl.store.batch import each
from c2vl.store.handover import AVAILABLE, Inherited, Packed, Slots
from c2vl.store.work import Portable, Unit, Work
from c2vl.workers import NICE, follow_parent, step_back

WAY, WAYS = "C2VL_PREPARE", ("auto", "threads", "processes")
MOST_PROCESSES = 8  # they feed one engine
IN_USE = 4  # batches that are with the engine, being completed or about to be forgotten
AFTER, WORTH = 10.0, 180.0  # seconds that a run is watched, and that it must still take, for processes to be started


class Readers:
    """Prepares batches of a stage.

    Args:
        work: the stage, loaded.
        threads: its pool.
        total: units to come.
        ahead: batches that will be asked for before one is used up.

    Raises:
        UserError: `C2VL_PREPARE` is none of its values.
    """

    def __init__(self, work: Work, threads: Executor, total: int, ahead: int) -> None:
        self._work, self._threads, self._total = work, threads, total
        self._way = way()
        self._portable = work if isinstance(work, Portable) and AVAILABLE and self._way != "threads" else None
        self._processes: ProcessPoolExecutor | None = None
        self._greetings: list[Future[int]] = []
        self._slots = Slots(ahead + IN_USE if self._portable is not None else 0)
        if self._way == "processes":
            self._start()
            wait(self._greetings)
        self._began, self._asked = time.monotonic(), 0

    def submit(self, units: Sequence[Unit]) -> Future[Any]:
        """Have a batch prepared; for `prepared`."""
        self._asked += len(units)
        if self._processes is None and self._worth():
            self._start()
        if self._portable is not None and self._processes is not None and self._up():
            slot = self._slots.take()
            if slot is not None:
                return self._processes.submit(_pack_prepared, slot, *self._portable.columns(units))
        return self._threads.submit(each, self._work.prepare, units)

    def prepared(self, ready: Future[Any]) -> Any:
        """What a future of `submit` brings, waited for.

        Raises:
            BrokenExecutor: a process was killed.
        """
        made = ready.result()
        return self._slots.open(made) if isinstance(made, Packed) else made

    def shutdown(self) -> None:
        """End the processes; the threads are the caller's."""
        if self._processes is not None:
            self._processes.shutdown(wait=False, cancel_futures=True)

    def _worth(self) -> bool:
        seconds = time.monotonic() - self._began
        return seconds >= AFTER and (self._total - self._asked) * seconds >= WORTH * self._asked

    def _start(self) -> None:
        """Start processes, where what prepares can be sent to them; they come up meanwhile."""
        preparer = self._portable.preparer() if self._portable is not None else None
        if preparer is None:
            self._portable = None
            return
        try:
            sent = pickle.dumps(preparer)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            self._stay(f"what prepares cannot be sent to another process ({error})")
            return
        count = min(workers_each(), MOST_PROCESSES)
        arguments = (sent, self._slots.inherited())
        self._processes = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_begin, initargs=arguments)
        self._greetings = [self._processes.submit(os.getpid) for _ in range(count)]

    def _up(self) -> bool:
        """Whether all processes are ready."""
        if not all(greeting.done() for greeting in self._greetings):
            return False
        failed = [greeting for greeting in self._greetings if greeting.exception() is not None]
        self._greetings = []
        if failed:
            self._stay("processes that prepare could not be started")
        return not failed

    def _stay(self, why: str) -> None:
        self._portable = None
        print(f"{self._work.stage}: {why}; it is done in threads, which is a little slower", flush=True)


def way() -> str:
    """Where items are prepared: `C2VL_PREPARE`, which is `auto` where it is not set.

    Raises:
        UserError: it is something else than `auto`, `threads` or `processes`.
    """
    chosen = os.environ.get(WAY) or WAYS[0]
    if chosen not in WAYS:
        raise UserError(f"The environment variable {WAY} must be one of {', '.join(WAYS)}, not '{chosen}'.")
    return chosen


_preparer: Callable[..., list[Any]]  # of this process, where it is one that prepares
_slots: Inherited


def _begin(preparer: bytes, slots: Inherited) -> None:
    global _preparer, _slots
    follow_parent()
    step_back(2 * NICE)
    os.environ["OMP_NUM_THREADS"] = "1"  # there are as many processes as cores; read when torch is imported, which follows
    _preparer, _slots = pickle.loads(preparer), slots


def _pack_prepared(slot: int, *columns: Sequence[Any]) -> Packed:
    return _slots.pack(each(_preparer, *columns), slot)
