"""Processes that prepare batches for an engine, and lay them into memory that they share with it."""

from __future__ import annotations

import os
import pickle
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import active_children, get_context
from multiprocessing.connection import wait
from multiprocessing.reduction import DupFd
from typing import Any

from c2vl.store.batch import each
from c2vl.store.handover import Inherited, Packed, Slots
from c2vl.workers import NICE, deaf_to_interrupts, follow_parent, step_back

LOOK_SECONDS = 0.1


class Crew:
    """Started when it is made, of use when it is up.

    Args:
        preparer: called in the processes, with the columns of a batch; pickled.
        count: processes.
        slots: batches that may be under way or in use at once.

    Raises:
        PicklingError, TypeError, AttributeError: the preparer cannot be pickled.
        OSError, NotImplementedError, BrokenExecutor: the system gives no processes or no memory to share.
    """

    def __init__(self, preparer: Callable[..., list[Any]], count: int, slots: int) -> None:
        self._slots, self._count, self._up = Slots(slots), count, 0
        self._came_up, came_up = os.pipe()
        sent = os.memfd_create("c2vl-preparer")
        weakref.finalize(self, _close, [self._came_up, came_up, sent])
        with open(sent, "wb", closefd=False) as file:
            file.write(pickle.dumps(preparer))
        start = Start(sent, came_up, self._slots.inherited())
        self._pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_begin, initargs=(start,))
        try:
            self._start()
        except BaseException:
            self.dismiss()
            raise

    def _start(self) -> None:
        others = set(active_children())
        try:
            with deaf_to_interrupts():
                self._greetings = [self._pool.submit(os.getpid) for _ in range(self._count)]  # a process is started for each
        finally:
            self._processes = set(active_children()) - others

    def is_up(self) -> bool:
        """Whether all processes are ready.

        Raises:
            BrokenExecutor: one has ended.
        """
        return self._look(0.0)

    def wait(self) -> None:
        """Wait until all processes are ready, or one has ended, which `submit` then says."""
        try:
            while not self._look(LOOK_SECONDS):
                pass
        except BrokenExecutor:
            return

    def submit(self, *columns: Sequence[Any]) -> Future[Packed] | None:
        """Have a batch prepared, for `open`; None where all slots are in use.

        Raises:
            BrokenExecutor: a process has ended.
        """
        slot = self._slots.take()
        return None if slot is None else self._pool.submit(_pack_prepared, slot, *columns)

    def open(self, packed: Packed) -> Any:
        """What was prepared; its arrays hold their slot until they are gone."""
        return self._slots.open(packed)

    def dismiss(self) -> None:
        """End the processes as soon as they are through with their batch; while they start, which may take long, at once."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._up < self._count:
            for process in self._processes:
                process.kill()

    def _look(self, seconds: float) -> bool:
        while self._up < self._count and wait([self._came_up], seconds):
            self._up += len(os.read(self._came_up, self._count))
        for greeting in self._greetings:
            if greeting.done():
                greeting.result()
        return self._up >= self._count


class Start:
    """What a process is given when it starts.

    All of it fits into the pipe that it comes through: what does not, a processor's vocabulary, would hold up the engine's
    thread until the process reads, and for ever where it dies before. So the preparer waits in memory.

    Args:
        preparer: descriptor of the memory in which it lies, pickled.
        came_up: descriptor of a pipe into which the process writes a byte when it is ready.
        slots: where prepared batches go.
    """

    def __init__(self, preparer: int, came_up: int, slots: Inherited) -> None:
        self._preparer, self._came_up, self.slots = preparer, came_up, slots

    def __reduce__(self) -> Any:
        return _started, (DupFd(self._preparer), DupFd(self._came_up), self.slots)

    def preparer(self) -> Callable[..., list[Any]]:
        """Unpickle it."""
        content = os.pread(self._preparer, os.fstat(self._preparer).st_size, 0)  # others read through the same descriptor
        made: Callable[..., list[Any]] = pickle.loads(content)
        return made

    def say_ready(self) -> None:
        """Let the parent know."""
        with suppress(BrokenPipeError):  # it has just been killed
            os.write(self._came_up, b"+")


_preparer: Callable[..., list[Any]]  # of this process, where it is one that prepares
_slots: Inherited


def _started(preparer: Any, came_up: Any, slots: Inherited) -> Start:
    return Start(preparer.detach(), came_up.detach(), slots)


def _begin(start: Start) -> None:
    global _preparer, _slots
    follow_parent()
    step_back(2 * NICE)
    os.environ["OMP_NUM_THREADS"] = "1"  # there are as many processes as cores; read when torch is imported, which follows
    _preparer, _slots = start.preparer(), start.slots
    start.say_ready()


def _pack_prepared(slot: int, *columns: Sequence[Any]) -> Packed:
    return _slots.pack(each(_preparer, *columns), slot)


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
