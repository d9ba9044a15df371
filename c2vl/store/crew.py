"""Processes that prepare batches for an engine, lay them into memory that they share with it, and may complete them too."""

from __future__ import annotations

import gc
import os
import pickle
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import active_children, get_context
from multiprocessing.connection import wait
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

import pyarrow as pa

from c2vl.core.workers import NICE, deaf_to_interrupts, follow_parent, step_back
from c2vl.store.batch import Done, each, failures_of, rows_with_keys, written
from c2vl.store.handover import Inherited, Packed, Slots

LOOK_SECONDS = 0.1


Makes = Callable[..., list[Any]]


class Crew:
    """Started when it is made, of use when it is up.

    Args:
        preparer: called in the processes, with the columns of a batch; pickled.
        count: processes.
        slots: batches that may be under way or in use at once.
        completer: called there with prepared items and the columns of a batch that was computed; pickled.

    Raises:
        PicklingError, TypeError, AttributeError: what is pickled cannot be.
        OSError, NotImplementedError, BrokenExecutor: the system gives no processes or no memory to share.
    """

    def __init__(
        self, preparer: Makes, count: int, slots: int, completer: Makes | None = None
    ) -> None:
        self._slots, self._count, self._up = Slots(slots), count, 0
        self._came_up, came_up = os.pipe()
        sent = os.memfd_create("c2vl-preparer")
        weakref.finalize(self, _close, [self._came_up, came_up, sent])
        with open(sent, "wb", closefd=False) as file:
            file.write(pickle.dumps((preparer, completer)))
        start = Start(sent, came_up, self._slots.inherited())
        self._pool = ProcessPoolExecutor(
            count, mp_context=get_context("spawn"), initializer=_begin, initargs=(start,)
        )
        try:
            self._start()
        except BaseException:
            self.dismiss()
            raise

    def _start(self) -> None:
        others = set(active_children())
        try:
            with deaf_to_interrupts():
                self._greetings = [
                    self._pool.submit(os.getpid) for _ in range(self._count)
                ]  # a process is started for each
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

    def complete(
        self,
        packed: Packed,
        positions: Sequence[int],
        keys: Sequence[bytes],
        columns: Sequence[Any],
        folder: Path,
        schema: pa.Schema,
    ) -> Future[Done]:
        """Have rows made of prepared items and put into the store, in the process that is free first.

        Args:
            packed: the batch; what `open` gave of it must be there until this is done.
            positions: of the items, in it.
            keys, columns: of these items.
            folder: of the store.
            schema: of a segment.

        Raises:
            BrokenExecutor: a process has ended.
        """
        return self._pool.submit(_completed, packed, positions, keys, columns, folder, schema)

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
    thread until the process reads, and for ever where it dies before. So preparer and completer wait in memory.

    Args:
        tools: descriptor of the memory in which they lie, pickled.
        came_up: descriptor of a pipe into which the process writes a byte when it is ready.
        slots: where prepared batches go.
    """

    def __init__(self, tools: int, came_up: int, slots: Inherited) -> None:
        self._tools, self._came_up, self.slots = tools, came_up, slots

    def __reduce__(self) -> Any:
        return _started, (DupFd(self._tools), DupFd(self._came_up), self.slots)

    def tools(self) -> tuple[Makes, Makes | None]:
        """Unpickle preparer and completer."""
        content = os.pread(
            self._tools, os.fstat(self._tools).st_size, 0
        )  # others read through the same descriptor
        made: tuple[Makes, Makes | None] = pickle.loads(content)
        return made

    def say_ready(self) -> None:
        """Let the parent know."""
        with suppress(BrokenPipeError):  # it has just been killed
            os.write(self._came_up, b"+")


_preparer: Makes  # of this process, where it is one of a crew
_completer: Makes | None
_slots: Inherited


def _started(tools: Any, came_up: Any, slots: Inherited) -> Start:
    return Start(tools.detach(), came_up.detach(), slots)


def _begin(start: Start) -> None:
    global _preparer, _completer, _slots
    follow_parent()
    step_back(2 * NICE)
    os.environ["OMP_NUM_THREADS"] = (
        "1"  # there are as many processes as cores; read when torch is imported, which follows
    )
    (_preparer, _completer), _slots = start.tools(), start.slots
    if _completer is not None:
        pa.array([0])  # imports pandas, where it is installed: not in the first batch's time
    gc.freeze()  # of what is there by now nothing is garbage, and to look through it takes as long as to prepare some batches
    start.say_ready()


def _pack_prepared(slot: int, *columns: Sequence[Any]) -> Packed:
    return _slots.pack(each(_preparer, *columns), slot)


def _completed(
    packed: Packed,
    positions: Sequence[int],
    keys: Sequence[bytes],
    columns: Sequence[Any],
    folder: Path,
    schema: pa.Schema,
) -> Done:
    assert _completer is not None
    prepared = _slots.read(packed)
    outcomes = each(_completer, [prepared[position] for position in positions], *columns)
    rows = rows_with_keys(keys, outcomes, schema)
    return Done(failures_of(outcomes), written(folder, rows) if len(rows) else rows)


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
