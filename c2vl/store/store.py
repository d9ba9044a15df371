"""The sample store: results by content key, in segments with checksums. Many processes may add.

Each stage and fingerprint has a folder. No file in it changes: a segment is published whole or not
at all, and a merged segment is published before its parts are removed. So a reader finds every
published row at any moment, also after a crash.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from c2vl.core.disk_errors import explains_disk_errors, is_gone
from c2vl.core.errors import UserError
from c2vl.core.files import make_durable, write_json
from c2vl.store.keys import KEY, KeyIndex, as_keys, key_array
from c2vl.store.segments import (
    SUFFIX,
    DamagedError,
    is_intact,
    merge_segments,
    pick,
    read_keys,
    read_schema,
    remove_half_written,
    take_rows,
    write_segment,
)

MERGED_BYTES = 64 * 2**20
SMALL_BYTES = 8 * 2**20
FEW = 8  # small segments may stay; merging them would cost one more wait for the disk
DESCRIPTION = "fingerprint.json"
WRITTEN = "sealed"  # an empty file; its time is when the table was last written
NONE_HELD: Mapping[str, pa.Table] = {}


class Store:
    """Rows of one stage under one fingerprint.

    Args:
        root: folder of all stores (`machine.store_dir()`).
        stage: name of the stage.
        fingerprint: hash of everything that changes the rows, except their content.
        description: what the fingerprint was made of; stored beside the rows for people.
        verify: read every segment and compare its checksum before its rows count. If false, read
            only keys. That is enough to add rows and to know what is missing, and fast on a
            network disk.
        look: change nothing on the disk. If false, damaged segments are renamed to `.damaged`.

    Attributes:
        damaged: number of damaged segments found.

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
        self._described_in = os.fspath(self.folder / DESCRIPTION)  # checked at each batch
        self._described = False
        self._keys = KeyIndex()  # of intact segments
        self._changing = threading.RLock()  # one thread publishes, another looks for others' rows
        self._take_in()

    def refresh(self) -> np.ndarray:
        """Read what other processes published or merged; return the new keys, `S16`."""
        with self._changing:
            return np.concatenate([key_array(()), *self._take_in()])

    def recheck(self) -> None:
        """As `refresh`; also verify all segments again if this store verifies."""
        with self._changing:
            if self._verify:
                self._keys.keep(())
            self._take_in()

    @explains_disk_errors
    def _take_in(self) -> list[np.ndarray]:
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
        return {name[: -len(SUFFIX)] for name in os.listdir(self.folder) if name.endswith(SUFFIX)}

    def _checked(self, name: str) -> np.ndarray | None:
        """Return the keys of a segment; None if it vanished or is damaged."""
        path = self.folder / (name + SUFFIX)
        try:
            with contextlib.suppress(DamagedError):
                if not self._verify or is_intact(self.folder, name):
                    return read_keys(self.folder, name)
            if is_intact(self.folder, name):
                raise UserError(
                    f"{path} cannot be read: another version of pyarrow wrote it. "
                    f"Remove it (rm {path}) and run again."
                )
        except OSError as error:
            if is_gone(error):
                return None
            raise
        self.damaged += 1
        if not self._look:
            with contextlib.suppress(OSError):
                path.rename(path.with_suffix(".damaged"))
        return None

    def count(self) -> int:
        """Return the number of results; one that is in two segments counts once."""
        return self._keys.count()

    def known(self) -> set[bytes]:
        """Return the keys of all results as objects, which take much more memory than arrays."""
        return self._keys.known()

    def segments(self) -> dict[str, int]:
        """Return the number of rows of each segment, by name."""
        return self._keys.rows()

    def missing(self, keys: Sequence[bytes] | np.ndarray) -> np.ndarray:
        """Return which of `keys` have no result, (N,) bool."""
        return self._keys.lacks(key_array(keys))

    @explains_disk_errors
    def rows(self, keys: Sequence[bytes] | np.ndarray) -> pa.Table:
        """Return the rows of `keys`, in their order, without the column `key`.

        Raises:
            KeyError: a key has no result, or its segment was damaged since the check.
            UserError: the store cannot be read.
        """
        wanted = key_array(keys)
        for attempt in range(5):
            try:
                return self._gather(wanted).drop_columns("key")
            except DamagedError as error:
                raise KeyError(str(error)) from None
            except OSError as error:  # another process merged it since we listed it
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

    @explains_disk_errors
    def schema(self) -> pa.Schema | None:
        """Return the schema of the rows without `key`; None if there are no rows."""
        for name in sorted(self._keys):
            with contextlib.suppress(FileNotFoundError, DamagedError):  # `rows` reports it
                schema = read_schema(self.folder, name)
                return schema.remove(schema.get_field_index("key"))
        return None

    @explains_disk_errors
    def publish(self, rows: pa.Table, durable: bool = True) -> str:
        """Add `rows` (with their `key`) as one segment, all or none; return its name.

        Args:
            rows: what was computed.
            durable: wait until they are on the disk; otherwise a power cut may lose them.

        Raises:
            UserError: the disk is full, the store is read-only or cannot be reached.
        """
        self._describe()
        with self._changing:
            name = write_segment(self.folder, rows, durable)
            self._keys.add(name, as_keys(rows.column(KEY.name)))
        return name

    @explains_disk_errors
    def note(self, name: str, keys: np.ndarray) -> None:
        """Add a segment that a worker process has just written.

        Raises:
            UserError: the store cannot be written.
        """
        self._describe()
        with self._changing:
            self._keys.add(name, keys)

    @explains_disk_errors
    def make_durable(self, name: str) -> None:
        """Wait until a segment is on the disk; another process may have merged it, durably."""
        with contextlib.suppress(FileNotFoundError):
            make_durable(self.folder / (name + SUFFIX))

    def _describe(self) -> None:
        """Write the description beside the rows, once; refuse if the folder vanished."""
        if not os.path.exists(self._described_in):
            if self._described or (len(self._keys.rows()) and not self.folder.exists()):
                raise UserError(
                    f"The store {self.folder} vanished during the run; perhaps its disk is not "
                    "mounted, or somebody moved it. Bring it back and run again: it has all "
                    "finished batches."
                )
            write_json(self.folder / DESCRIPTION, dict(self._description or {}))
        self._described = True

    def note_written(self) -> None:
        """Note that the table was written from these rows; a read-only store keeps no note."""
        with contextlib.suppress(OSError):
            if self.folder.is_dir():
                (self.folder / WRITTEN).touch()

    @explains_disk_errors
    def merge(self, names: Sequence[str], held: Mapping[str, pa.Table] = NONE_HELD) -> list[str]:
        """Replace segments by fewer, larger, durable ones; return their names.

        Damaged segments, and segments that another process merged, are left out. One chunk at a
        time is in memory, besides `held`.

        Args:
            names: names of the segments.
            held: rows of segments that are still in memory, so that they need not be read.
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
            except OSError as error:  # another process merged one meanwhile
                if not is_gone(error):
                    raise
                sources = [name for name in sources if (self.folder / (name + SUFFIX)).exists()]
                continue
            self._keys.add(made.name, made.keys)
            replaced = [source for source in sources if source != made.name]
            self._keys.remove(replaced)
            for source in replaced:
                (self.folder / (source + SUFFIX)).unlink(missing_ok=True)
            return [made.name]
        return []

    def compact(self) -> None:
        """Merge small segments if there are many; remove half-written files of killed processes."""
        # A read-only store stays as it is.
        with contextlib.suppress(OSError, UserError, DamagedError):
            sizes = {name: (self.folder / (name + SUFFIX)).stat() for name in self._keys}
            small = [name for name, status in sizes.items() if status.st_size < SMALL_BYTES]
            if len(small) > FEW:
                self.merge(sorted(small, key=lambda name: (sizes[name].st_mtime_ns, name)))
            remove_half_written(self.folder)
