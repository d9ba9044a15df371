"""Units that may have killed a worker process: tried one by one, and set aside if they do it again.

A crash (abort, segmentation fault) is the work of a unit, so the stage tries the units that the
worker may have had at once. A worker that is killed is most likely a victim of others' hunger for
memory. The stage then ends and notes the units; the next run tries them one by one, after all
others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from c2vl.core.files import read_json, write_json
from c2vl.core.workers import WorkersEndedError, singly
from c2vl.store.stage import Failure, Unit

NOTE = "killed_a_worker.json"  # in the stage's folder of the store
TWICE = Failure(
    "crashed",
    "to prepare it ended a worker process twice; its file is damaged, or memory is short",
)


def try_singly(
    function: Callable[[list[Unit]], Any], units: Sequence[Unit]
) -> Iterator[tuple[Unit, Any]]:
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
        """Keep the keys of what a killed worker may have had; a full disk forgets."""
        keys = {unit.key.hex() for batch in batches for unit in batch if unit.key is not None}
        with contextlib.suppress(OSError):
            write_json(self._path, sorted(keys | self._keys))

    def forget(self) -> None:
        """All have been tried."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
