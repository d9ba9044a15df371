"""The sample store: results by content key, in checksummed segments that many processes may add to.

There is one folder a stage and fingerprint. No file in it is changed in place: a segment is
published whole or not at all, and merging publishes the merged segment before it removes its parts.
So a reader finds each published row at any moment, also after a crash.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from c2vl.core.disk_errors import explained, is_gone
from c2vl.core.errors import UserError
from c2vl.core.files import write_json
from c2vl.store.keys import KEY, KeyIndex, as_keys, key_array
from c2vl.store.segments import (
    SUFFIX,
    DamagedError,
    is_intact,
    merge_segments,
    pick,
    read_keys,
    read_schema,
    take_rows,
    write_segment,
)

MERGED_BYTES = 64 * 2**20
SMALL_BYTES = 8 * 2**20
FEW = 8  # small segments that may stay: to merge them a run would wait for its disk once more
STALE_SECONDS = 3600
DESCRIPTION = "fingerprint.json"
WRITTEN = "sealed"  # empty; its time tells when the stage's table was last written from these rows
NONE_HELD: Mapping[str, pa.Table] = {}


class Store:
    """Rows of one stage under one fingerprint.

    Args:
        root: folder of all stores (`machine.store_dir()`).
        stage: name of the stage.
        fingerprint: digest of all that changes its rows besides their content.
        description: what the fingerprint was made of; kept beside the rows for people.
        verify: read every segment and compare its checksum before its rows count. Without, only
            keys are read: enough to add rows or to know what is missing, and quick on a network
            disk.
        look: change nothing on the disk. Without, damaged segments are renamed to `.damaged`.

    Attributes:
        damaged: how many segments were found damaged.

    Raises:
        UserError: the store cannot be read.
    """

    def __init__(
        self,
        root: Path,
        stage: str,
        fingerprint: str,
        description: Mapping[str, Any] | None = None,
        verify: bool = True,
        look: bool = False,
    ) -> None:
        self.folder = root / stage / fingerprint
        self.fingerprint = fingerprint
        self.damaged = 0
        self._description, self._verify, self._look = description, verify, look
        self._described_in = os.fspath(self.folder / DESCRIPTION)  # looked for at each batch
        self._described = False
        self._keys = KeyIndex()  # of intact segments
        self._changing = threading.RLock()  # one thread publishes, another looks for others' rows
        self._take_in()

    def refresh(self) -> np.ndarray:
        """Take in what other processes published or merged; return the keys that are new, `S16`."""
        with self._changing:
            return np.concatenate([key_array(()), *self._take_in()])

    def recheck(self) -> None:
        """As `refresh`, and verify all segments anew if this store verifies."""
        with self._changing:
            if self._verify:
                self._keys.keep(())
            self._take_in()

    def _take_in(self) -> list[np.ndarray]:
        with explained(self.folder):
            names = self._names()
        self._keys.keep(names)
        fresh = sorted(name for name in names if name not in self._keys)
        if fresh:
            with ThreadPoolExecutor(4) as pool:  # hashing releases Python's lock
                for name, keys in zip(fresh, pool.map(self._checked, fresh), strict=True):
                    if keys is not None:
                        self._keys.add(name, keys)
        return [self._keys[name] for name in fresh if name in self._keys]

    def _names(self) -> set[str]:
        if not self.folder.is_dir():
            return set()
        suffix = len(SUFFIX)
        return {name[:-suffix] for name in os.listdir(self.folder) if name.endswith(SUFFIX)}

    def _checked(self, name: str) -> np.ndarray | None:
        """Keys of a segment; None if it vanished or is damaged."""
        path = self.folder / (name + SUFFIX)
        try:
            with contextlib.suppress(DamagedError):
                if not self._verify or is_intact(self.folder, name):
                    return read_keys(self.folder, name)
            if is_intact(self.folder, name):
                raise UserError(
                    f"{path} was written by another version of pyarrow and cannot be read; "
                    f"`rm {path}` and run again."
                )
        except OSError as error:
            if is_gone(error):
                return None
            with explained(self.folder):
                raise
        self.damaged += 1
        if not self._look:
            with contextlib.suppress(OSError):
                path.rename(path.with_suffix(".damaged"))
        return None

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

    def rows(self, keys: Sequence[bytes] | np.ndarray) -> pa.Table:
        """Return the rows of `keys`, in their order, without the column `key`.

        Raises:
            KeyError: one has no result (any more), or its segment was damaged since it was checked.
        """
        wanted = key_array(keys)
        for attempt in range(5):
            try:
                return self._gather(wanted).drop_columns("key")
            except DamagedError as error:
                raise KeyError(str(error)) from None
            except OSError as error:  # another process has merged the segment since we listed it
                if attempt == 4 or not is_gone(error):
                    raise
                self.refresh()
        raise AssertionError("unreachable")

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

    def schema(self) -> pa.Schema | None:
        """Schema of the rows without `key`, or None where there are none."""
        for name in sorted(self._keys):
            with contextlib.suppress(FileNotFoundError, DamagedError):  # who reads its rows says so
                schema = read_schema(self.folder, name)
                return schema.remove(schema.get_field_index("key"))
        return None

    def publish(self, rows: pa.Table, durable: bool = True) -> str:
        """Add `rows` (with their `key`) as one segment: all or, at a crash, none; return its name.

        Args:
            rows: what was computed.
            durable: wait until the disk has them; else a power cut may lose them.

        Raises:
            UserError: the disk is full, the store is read-only or cannot be reached.
        """
        self.describe()
        with self._changing, explained(self.folder):
            name = write_segment(self.folder, rows, durable)
            self._keys.add(name, as_keys(rows.column(KEY.name)))
        return name

    def note(self, name: str, keys: np.ndarray) -> None:
        """Take in a segment that a worker of this process has just written."""
        with self._changing:
            self._keys.add(name, keys)

    def describe(self) -> None:
        """Write the description beside the rows, once.

        Raises:
            UserError: as `publish`; or the folder vanished, and results would go into a new one.
        """
        with explained(self.folder):
            if not os.path.exists(self._described_in):
                if self._described or (len(self._keys.rows()) and not self.folder.exists()):
                    raise UserError(
                        f"The store {self.folder} vanished during the run; bring it back, if its "
                        "disk is not mounted or somebody moved it, then run again: what was "
                        "published in it is kept there."
                    )
                write_json(self.folder / DESCRIPTION, dict(self._description or {}))
            self._described = True

    def note_written(self) -> None:
        """Remember that the table was written from these rows; a read-only store forgets it."""
        with contextlib.suppress(OSError):
            if self.folder.is_dir():
                (self.folder / WRITTEN).touch()

    def merge(self, names: Sequence[str], held: Mapping[str, pa.Table] = NONE_HELD) -> list[str]:
        """Replace segments by fewer, larger, durable ones; return their names.

        Damaged segments, and those that another process took, are left out. Besides what is held,
        one chunk is in memory at a time.

        Args:
            names: of the segments.
            held: rows of those that are still in memory, and so are not read back.
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
                keys = {name: self._keys[name] for name in sources}
                made = merge_segments(self.folder, keys, size, held)
            except OSError as error:  # another process has merged one meanwhile
                if not is_gone(error):
                    raise
                sources = [name for name in sources if (self.folder / (name + SUFFIX)).exists()]
                continue
            self.note(made.name, made.keys)
            replaced = [source for source in sources if source != made.name]
            self._keys.remove(replaced)
            for source in replaced:
                (self.folder / (source + SUFFIX)).unlink(missing_ok=True)
            return [made.name]
        return []

    def compact(self) -> None:
        """Merge small segments where they are many; remove what killed processes half-wrote."""
        with contextlib.suppress(OSError, UserError, DamagedError):  # a read-only store serves
            sizes = {name: (self.folder / (name + SUFFIX)).stat() for name in self._keys}
            small = [name for name, status in sizes.items() if status.st_size < SMALL_BYTES]
            if len(small) > FEW:
                self.merge(sorted(small, key=lambda name: (sizes[name].st_mtime_ns, name)))
            for left in self.folder.glob(".*.part"):
                if time.time() - left.stat().st_mtime > STALE_SECONDS:
                    left.unlink(missing_ok=True)
