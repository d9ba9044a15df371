"""The sample store: results by content key, in checksummed segments that any number of processes may add to.

One folder a stage and fingerprint. Nothing in it is ever changed in place: a segment is published whole or not
at all, and merging publishes the merged segment before it removes its parts. So a reader at any moment, or
after a crash at any moment, finds each published row at least once.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from c2vl.core.disk_errors import is_gone, said_plainly
from c2vl.core.errors import UserError
from c2vl.core.files import make_durable, write_json
from c2vl.store.key_index import KeyIndex
from c2vl.store.pick import pick
from c2vl.store.segments import (
    KEY,
    SUFFIX,
    as_keys,
    is_intact,
    key_array,
    read_chunks,
    read_keys,
    read_schema,
    take_rows,
    write_segment,
    write_stream,
)

MERGED_BYTES = 64 * 2**20
SMALL_BYTES = 8 * 2**20
FEW = 8  # small segments that may stay: to merge them a run would wait for its disk once more
STALE_SECONDS = 3600
DESCRIPTION = "fingerprint.json"
NONE_HELD: Mapping[str, pa.Table] = {}
SEALED = "sealed"  # empty; its time tells under which fingerprint a stage's out was sealed last


class Store:
    """Rows of one stage under one fingerprint.

    Args:
        root: folder of all stores (`machine.store_dir()`).
        stage: name of the stage.
        fingerprint: digest of all that changes its rows besides their content.
        description: what the fingerprint was made of; kept beside the rows for people and for `why`.
        verify: hold every segment to its checksum before its rows count. Without, only keys are read: enough for who
            adds rows or wants to know what is missing, and what 8 workers do at the start of 50 GB on a shared disk.
    """

    def __init__(
        self,
        root: Path,
        stage: str,
        fingerprint: str,
        description: Mapping[str, Any] | None = None,
        verify: bool = True,
    ) -> None:
        self.folder = root / stage / fingerprint
        self.fingerprint = fingerprint
        self.damaged = 0
        self._description, self._verify = description, verify
        self._described_in = os.fspath(self.folder / DESCRIPTION)  # looked for at each batch
        self._keys = KeyIndex()  # of intact segments
        self._described = False
        self._changing = (
            threading.RLock()
        )  # a stage publishes in one thread and looks for others' rows in another
        self._take_in()

    def refresh(self) -> np.ndarray:
        """Take in what other processes published or merged; a segment is checked against its checksum once.

        Returns:
            The keys of the segments that were not known yet, `S16`.
        """
        with self._changing:
            return np.concatenate([key_array(()), *self._take_in()])

    def recheck(self) -> None:
        """As `refresh`, of a store that verifies all segments anew: its own were never read back, others hours ago."""
        with self._changing:
            if self._verify:
                self._keys.keep(())
            self._take_in()

    def _take_in(self) -> list[np.ndarray]:
        names = self._names()
        self._keys.keep(names)
        fresh = sorted(name for name in names if name not in self._keys)
        if fresh:
            with ThreadPoolExecutor(4) as pool:  # hashing releases the interpreter
                for name, keys in zip(fresh, pool.map(self._checked, fresh), strict=True):
                    if keys is not None:
                        self._keys.add(name, keys)
        return [self._keys[name] for name in fresh if name in self._keys]

    def count(self) -> int:
        """How many results there are; one in two segments counts once."""
        return self._keys.count()

    def known(self) -> set[bytes]:
        """Keys of all results, as objects: many times what arrays take."""
        return self._keys.known()

    def segments(self) -> dict[str, int]:
        """Names of the segments and how many rows each holds."""
        return self._keys.rows()

    def missing(self, keys: Sequence[bytes] | np.ndarray) -> np.ndarray:
        """Which of `keys` have no result, (N,) bool."""
        return self._keys.lacks(key_array(keys))

    def publish(self, rows: pa.Table, durable: bool = True) -> str:
        """Add `rows` (with their `key`) as one segment: all of them or, at a crash, none. Return its name.

        Args:
            rows: what was computed.
            durable: wait until the disk has them; else only a power cut can lose them.

        Raises:
            UserError: the disk is full, the store is read-only or cannot be reached.
        """
        self.describe()
        with self._changing, said_plainly(self.folder):
            name = write_segment(self.folder, rows, durable)
            self.note(name, as_keys(rows.column(KEY.name)))
        return name

    def describe(self) -> None:
        """Leave the description beside the rows, for who reads or adds to them without this object.

        Raises:
            UserError: as `publish`; or the folder vanished: hours of results would go into a new one, on another disk.
        """
        with said_plainly(self.folder):
            if not os.path.exists(self._described_in):
                if self._described or (len(self._keys.rows()) and not self.folder.exists()):
                    raise UserError(
                        f"The store {self.folder} vanished during the run; bring it back, if its disk is not mounted or "
                        "somebody moved it, then run again: what was published in it is kept there."
                    )
                write_json(self.folder / DESCRIPTION, dict(self._description or {}))
            self._described = True

    def note(self, name: str, keys: np.ndarray) -> None:
        """Take in a segment that this process, or a worker of its own, has just written."""
        with self._changing:
            self._keys.add(name, keys)

    def make_one(self, names: Sequence[str], held: Mapping[str, pa.Table] = NONE_HELD) -> list[str]:
        """Put one durable segment in the place of `names`; return its name (none where other processes took them).

        Args:
            names: of segments.
            held: rows of those that are still in memory, and so not read back.

        Raises:
            UserError: as `publish`; then `names` stay.
        """
        with said_plainly(self.folder):
            if len(names) == 1:
                with contextlib.suppress(
                    FileNotFoundError
                ):  # another process has merged it, durably
                    make_durable(self.folder / (names[0] + SUFFIX))
                return list(names)
            return self.merge(names, held)

    def rows(self, keys: Sequence[bytes] | np.ndarray) -> pa.Table:
        """Return the rows of `keys`, in their order, without the column `key`.

        Raises:
            KeyError: one of them has no result (any more), or the segment that had it was damaged since it was checked.
        """
        wanted = key_array(keys)
        for attempt in range(5):
            try:
                return self._gather(wanted).drop_columns("key")
            except pa.ArrowException as error:
                raise KeyError(str(error)) from None
            except OSError as error:  # another process has merged the segment since we listed it
                if attempt == 4 or not is_gone(error):
                    raise
                self.refresh()
        raise AssertionError("unreachable")

    def schema(self) -> pa.Schema | None:
        """Schema of the rows without `key`, or None where there are none."""
        for name in sorted(self._keys):
            with contextlib.suppress(
                FileNotFoundError, pa.ArrowException
            ):  # who reads its rows will say so
                schema = read_schema(self.folder, name)
                return schema.remove(schema.get_field_index("key"))
        return None

    def note_sealed(self) -> None:
        """Remember that the out was sealed from these rows; a store that cannot be written forgets."""
        with contextlib.suppress(OSError):
            if self.folder.is_dir():
                (self.folder / SEALED).touch()

    def merge(self, names: Sequence[str], held: Mapping[str, pa.Table] = NONE_HELD) -> list[str]:
        """Replace segments `names` by fewer, larger, durable ones, and return these.

        Damaged ones, and those that another process took, are left out. Besides what is `held`, a chunk is in memory at a time.
        """
        merged: list[str] = []
        group: list[str] = []
        size = 0
        with self._changing:
            for position, name in enumerate(names):
                with contextlib.suppress(FileNotFoundError):
                    if name in self._keys and (name in held or is_intact(self.folder, name)):
                        group.append(name)
                        size += (self.folder / (name + SUFFIX)).stat().st_size
                if group and (size >= MERGED_BYTES or position == len(names) - 1):
                    merged += self._merged(group, size, held)
                    group, size = [], 0
        return merged

    def _merged(self, sources: list[str], size: int, held: Mapping[str, pa.Table]) -> list[str]:
        while sources:
            try:
                return [self._replace(sources, self._once(sources, held), size)]
            except OSError as error:  # another process has merged one meanwhile
                if not is_gone(error):
                    raise
                sources = [name for name in sources if (self.folder / (name + SUFFIX)).exists()]
        return []

    def _once(self, names: Sequence[str], held: Mapping[str, pa.Table]) -> Iterator[pa.Table]:
        """The rows of segments `names`, chunk by chunk; of several with one key the first."""
        keys = np.concatenate([self._keys[name] for name in names])
        first = np.zeros(len(keys), bool)
        first[np.unique(keys, return_index=True)[1]] = True
        begin = 0
        for name in names:
            for chunk in [held[name]] if name in held else read_chunks(self.folder, name):
                kept = first[begin : begin + len(chunk)]
                begin += len(chunk)
                yield chunk if kept.all() else pick(chunk, np.flatnonzero(kept))

    def compact(self) -> None:
        """Merge small segments where they are more than a few, and clear away what killed processes left half-written."""
        with contextlib.suppress(OSError, UserError):  # a read-only store still serves
            sizes = {name: (self.folder / (name + SUFFIX)).stat() for name in self._keys}
            small = [name for name, status in sizes.items() if status.st_size < SMALL_BYTES]
            if len(small) > FEW:
                self.merge(sorted(small, key=lambda name: (sizes[name].st_mtime_ns, name)))
            for left in self.folder.glob(".*.part"):
                if time.time() - left.stat().st_mtime > STALE_SECONDS:
                    left.unlink(missing_ok=True)

    def _names(self) -> set[str]:
        return (
            {path.stem for path in self.folder.glob(f"*{SUFFIX}")}
            if self.folder.is_dir()
            else set()
        )

    def _checked(self, name: str) -> np.ndarray | None:
        """Keys of a segment, or None if it vanished or is damaged; a damaged one is set aside."""
        path = self.folder / (name + SUFFIX)
        try:
            with contextlib.suppress(
                pa.ArrowException
            ):  # also of a file whose checksum nobody asked for
                if not self._verify or is_intact(self.folder, name):
                    return read_keys(self.folder, name)
            if is_intact(self.folder, name):
                raise UserError(
                    f"{path} was written by another version of pyarrow and cannot be read; remove it."
                )
        except OSError as error:
            if is_gone(error):
                return None
            with said_plainly(self.folder):
                raise
        self.damaged += 1
        with contextlib.suppress(OSError):
            path.rename(path.with_suffix(".damaged"))
        return None

    def _replace(self, sources: Sequence[str], parts: Iterable[pa.Table], size: int) -> str:
        """Publish `parts`, the rows of `sources` with each key once, as one durable segment, and remove `sources`."""
        keys: list[np.ndarray] = []

        def noted() -> Iterator[pa.Table]:
            for part in parts:
                keys.append(as_keys(part.column(KEY.name)))
                yield part

        rows = sum(len(self._keys[name]) for name in sources)
        name = write_stream(self.folder, read_schema(self.folder, sources[0]), noted(), rows, size)
        self.note(name, np.concatenate(keys))
        replaced = [source for source in sources if source != name]
        self._keys.remove(replaced)
        for source in replaced:
            (self.folder / (source + SUFFIX)).unlink(missing_ok=True)
        return name

    def _gather(self, wanted: np.ndarray) -> pa.Table:
        if not len(wanted):
            return (self.schema() or pa.schema([])).append(KEY).empty_table()
        names, segment, row = self._keys.find(wanted)
        order = np.argsort(segment, kind="stable")
        parts = [
            take_rows(self.folder, names[number], row[segment == number])
            for number in np.unique(segment)
        ]
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        found = pick(pa.concat_tables(parts), back)
        if not np.array_equal(as_keys(found.column(KEY.name)), wanted):
            raise KeyError("a segment does not hold the keys it held")
        return found
