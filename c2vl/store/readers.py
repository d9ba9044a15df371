"""Who prepares batches ahead of the engine, and completes them: threads at first, processes as soon as a long run is worth it.

A thread that prepares and the thread that runs the engine hand Python's lock to and fro, and an engine of many small kernels
loses a tenth to a fifth of its time to that. A process costs seconds to start, and memory. What comes out is the same, and
where processes cannot be started, or are killed, threads go on.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from c2vl.core.errors import UserError
from c2vl.core.machine import workers_each
from c2vl.store.batch import Done, each, failures_of
from c2vl.store.crew import Crew
from c2vl.store.handover import AVAILABLE, Packed
from c2vl.store.work import Failure, Portable, PortableCompleting, Unit, Work

WAY, WAYS = "C2VL_PREPARE", ("auto", "threads", "processes")
MOST_PROCESSES = 8  # they feed one engine
IN_USE = 5  # batches that are with the engine, being completed or about to be forgotten
AFTER, WORTH = (
    10.0,
    180.0,
)  # seconds that a run is watched, and that it must still take, for processes to be started
POSSIBLE = AVAILABLE and sys.version_info >= (
    3,
    11,
    5,
)  # before, a pool whose process is killed may never end (gh-94777)


@dataclass(frozen=True)
class Prepared:
    """A batch's items, and as what they came from another process, if they did."""

    items: list[Any]
    packed: Packed | None = None


class Readers:
    """Prepares batches of a stage, and completes those that the engine is done with.

    Args:
        work: the stage, loaded.
        threads: its pool.
        total: units to come.
        ahead: batches that will be asked for before one is used up.

    Raises:
        UserError: `C2VL_PREPARE` is none of its values.
    """

    def __init__(self, work: Work, threads: Executor, total: int, ahead: int) -> None:
        self._work, self._threads, self._total, self._ahead = work, threads, total, ahead
        self._way = way()
        self._portable = (
            work if isinstance(work, Portable) and POSSIBLE and self._way != "threads" else None
        )
        self._crew: Crew | None = None
        self._began, self._asked = time.monotonic(), 0

    def start(self) -> None:
        """Have processes ready where they are asked for whatever it takes; waits for them."""
        if self._way == "processes":
            if not POSSIBLE and isinstance(self._work, Portable):
                print(
                    f"{self._work.stage}: processes prepare on Linux and from Python 3.11.5 on; threads do here",
                    flush=True,
                )
            self._start()
            if self._crew is not None:
                self._crew.wait()
        self._began = time.monotonic()

    def submit(self, units: Sequence[Unit]) -> Future[Any]:
        """Have a batch prepared; for `prepared`."""
        self._asked += len(units)
        if self._crew is None and self._worth():
            self._start()
        if self._portable is not None and self._crew is not None:
            try:
                ready = (
                    self._crew.submit(*self._portable.columns(units))
                    if self._crew.is_up()
                    else None
                )
            except (OSError, BrokenExecutor) as error:
                self._stay(error)
            else:
                if ready is not None:
                    return ready
        return self._threads.submit(each, self._work.prepare, units)

    def prepared(self, units: Sequence[Unit], ready: Future[Any]) -> Prepared:
        """What the future that `submit` gave for `units` brings, waited for."""
        try:
            made = ready.result()
            if isinstance(made, Packed) and self._crew is not None:
                return Prepared(self._crew.open(made), made)
            return Prepared(made)
        except CancelledError:  # it waited for its turn when the processes were given up
            return Prepared(each(self._work.prepare, units))
        except (OSError, MemoryError, BrokenExecutor) as error:
            self._stay(error)
            return Prepared(each(self._work.prepare, units))

    def completed(
        self,
        units: Sequence[Unit],
        ready: Prepared,
        computed: Sequence[Any],
        folder: Path,
        schema: pa.Schema,
    ) -> Done | None:
        """Have the process that is free first complete a batch, up to the disk, and wait for it; None where none can.

        Args:
            units: the batch.
            ready: what was prepared of it.
            computed: what the engine made of it; failures too.
            folder: of the store.
            schema: of a segment.

        Raises:
            UserError: the store cannot be written.
        """
        portable, crew = self._portable, self._crew
        if (
            portable is None
            or crew is None
            or ready.packed is None
            or not isinstance(portable, PortableCompleting)
        ):
            return None
        good = [position for position, item in enumerate(computed) if not isinstance(item, Failure)]
        chosen = [units[position] for position in good]
        columns = portable.to_complete(chosen, [computed[position] for position in good])
        keys = [unit.key for unit in chosen if unit.key is not None]
        try:
            done = crew.complete(ready.packed, good, keys, columns, folder, schema).result()
        except CancelledError:
            return None
        except RuntimeError as error:  # one was killed, or another thread has just given them up
            self._stay(error)
            return None
        failures = failures_of(computed)
        for position, failure in zip(good, done.failures, strict=True):
            failures[position] = failure
        return Done(failures, done.rows)

    def shutdown(self) -> None:
        """End the processes; the threads are the caller's."""
        if self._crew is not None:
            self._crew.dismiss()

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
            completer = (
                self._portable.completer()
                if isinstance(self._portable, PortableCompleting)
                else None
            )
            self._crew = Crew(
                preparer, min(workers_each(), MOST_PROCESSES), self._ahead + IN_USE, completer
            )
        except (
            pickle.PicklingError,
            TypeError,
            AttributeError,
            OSError,
            NotImplementedError,
            BrokenExecutor,
        ) as error:
            self._stay(error)

    def _stay(self, why: Exception) -> None:
        """Go on in threads; say so once."""
        if self._portable is None:
            return
        self._portable = None
        if self._crew is not None:
            self._crew.dismiss()
        killed = "a process that prepares ended, perhaps for lack of memory"
        said = (
            killed
            if isinstance(why, BrokenExecutor)
            else f"no process can prepare ({' '.join(str(why).split())[:200]})"
        )
        print(f"{self._work.stage}: {said}; threads go on, which is a little slower", flush=True)


def way() -> str:
    """Where items are prepared: `C2VL_PREPARE`, which is `auto` where it is not set.

    Raises:
        UserError: it is something else than `auto`, `threads` or `processes`.
    """
    chosen = os.environ.get(WAY) or WAYS[0]
    if chosen not in WAYS:
        raise UserError(
            f"The environment variable {WAY} must be one of {', '.join(WAYS)}, not '{chosen}'."
        )
    return chosen
