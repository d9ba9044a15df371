"""Let worker processes do whole batches; set aside a unit that kills its worker twice.

A crash (abort, segmentation fault) is caused by a unit. So the stage at once tries the units that
the worker may have had, one by one. A worker is killed most likely because memory ran out. Then the
stage ends and notes the units; the next run tries them one by one, after all others.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from c2vl.core.errors import UserError
from c2vl.core.files import read_json, write_json
from c2vl.core.machine import workers_each
from c2vl.core.workers import WorkersEndedError, in_processes, singly
from c2vl.store.publish import Outcome, Publisher, done_in_worker, outcomes
from c2vl.store.stage import Failure, Stage, Unit

log = logging.getLogger(__name__)

NOTE = "killed_a_worker.json"  # in the stage's folder of the store
CRASHED = "a worker process crashed; the units that it may have had are tried one by one"
TWICE = Failure(
    "crashed",
    "preparing it ended a worker process twice; its file is damaged, or memory is short",
)


def by_workers(
    folder: Path, stage: Stage, todo: Iterator[list[Unit]], publisher: Publisher
) -> Generator[Outcome, None, None]:
    """Yield each unit's outcome; worker processes do whole batches.

    Args:
        folder: of the stage in the store.
        stage: the stage; its `preparer` returns rows.
        todo: the batches.
        publisher: gets the rows.

    Raises:
        UserError: a worker was killed, or none starts.
    """
    whole = partial(done_in_worker, stage.preparer(), folder, publisher.schema)
    suspects = Suspects(folder)
    todo = suspects.passed_by(todo)
    while True:
        try:
            with closing(in_processes(whole, todo, workers_each())) as done:
                for batch, (failures, rows) in done:
                    publisher.add_done(rows)
                    yield from outcomes([unit.key for unit in batch], failures)
            break
        except WorkersEndedError as error:
            if error.crashed:
                log.warning(f"{stage.name}: {CRASHED}")
                suspects.units += [unit for batch in error.items for unit in batch]
                continue
            why = f"could not start ({error})"
            if error.died:
                suspects.note(error.items)
                why = "was killed, most likely for lack of memory; lower C2VL_WORKERS"
            raise UserError(
                f"{stage.name}: a worker process {why} and run again: what it finished is kept."
            ) from None
    for unit, result in try_singly(whole, suspects.units):
        if isinstance(result, Failure):
            yield from outcomes([unit.key], [result])
            continue
        publisher.add_done(result[1])
        yield from outcomes([unit.key], result[0])
    suspects.forget()


def try_singly(
    function: Callable[[list[Unit]], Any], units: Sequence[Unit]
) -> Generator[tuple[Unit, Any], None, None]:
    """Yield (unit, `function([unit])`), or (unit, `Failure`) of one that ends its process."""
    left = [*units]
    try:
        for (unit,), result in singly(function, [[unit] for unit in units]):
            left.remove(unit)
            yield unit, TWICE if isinstance(result, WorkersEndedError) else result
    except WorkersEndedError as error:
        reason = f"a worker process ended at this batch, and no other starts ({error})"
        yield from ((unit, Failure("error", reason)) for unit in left)


class Suspects:
    """The keys that a stage's folder notes, and the units of this run that have them.

    Args:
        folder: of the stage in the store.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NOTE
        self._keys: set[str] = set()
        with contextlib.suppress(OSError, ValueError, TypeError):
            self._keys = {str(key) for key in read_json(self._path)}
        self.units: list[Unit] = []

    def passed_by(self, batches: Iterable[list[Unit]]) -> Iterator[list[Unit]]:
        """Yield the batches without suspects, which `units` then has."""
        for batch in batches:
            good = [unit for unit in batch if not self._is_one(unit)]
            self.units += [unit for unit in batch if self._is_one(unit)]
            if good:
                yield good

    def _is_one(self, unit: Unit) -> bool:
        return unit.key is not None and unit.key.hex() in self._keys

    def note(self, batches: Iterable[list[Unit]]) -> None:
        """Note the keys of what a killed worker may have had; on a full disk, nothing is noted."""
        keys = {unit.key.hex() for batch in batches for unit in batch if unit.key is not None}
        with contextlib.suppress(OSError):
            write_json(self._path, sorted(keys | self._keys))

    def forget(self) -> None:
        """Delete the notes, because all units have been tried."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
