"""The sample store: results by content key, in checksummed segments that any number of processes may add to.

One folder a stage and fingerprint. Nothing in it is ever changed in place: a segment is published whole or not
at all, and merging publishes the merged segment before it removes its parts. So a reader at any moment, or
after a crash at any moment, finds each published row at least once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from c2vl.errors import UserError
from c2vl.files import make_durable, write_json
from c2vl.store.keys import KEY_BYTES
from c2vl.store.pick import pick
from c2vl.store.segments import KEY, SUFFIX, as_keys, is_intact, key_array, read_keys, read_schema, take_rows, write_segment
from c2vl.store.trouble import is_gone, said_plainly

MERGED_BYTES = 64 * 2**20
SMALL_BYTES = 8 * 2**20
STALE_SECONDS = 3600
DESCRIPTION = "fingerprint.json"
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
        self._keys: dict[str, np.ndarray] = {}  # intact segments: name -> keys
        self._index: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self._take_in()

    def refresh(self) -> np.ndarray:
        """Take in what other processes published or merged; a segment is checked against its checksum once.

        Returns:
            The keys of the segments that were not known yet, `S16`.
        """
        return np.concatenate([key_array(()), *self._take_in()])

    def _take_in(self) -> list[np.ndarray]:
        names = self._names()
        self._keys = {name: keys for name, keys in self._keys.items() if name in names}
        self._index = None
        fresh = sorted(names - self._keys.keys())
        if fresh:
            with ThreadPoolExecutor(4) as pool:  # hashing releases the interpreter
                found = zip(fresh, pool.map(self._checked, fresh), strict=True)
                self._keys |= {name: keys for name, keys in found if keys is not None}
        return [self._keys[name] for name in fresh if name in self._keys]

    def known(self) -> set[bytes]:
        """Keys of all results."""
        return set().union(*map(_as_set, self._keys.values()))

    def segments(self) -> dict[str, int]:
        """Names of the segments and how many rows each holds."""
        return {name: len(keys) for name, keys in self._keys.items()}

    def missing(self, keys: Sequence[bytes] | np.ndarray) -> np.ndarray:
        """Which of `keys` have no result, (N,) bool."""
        return self._locate(key_array(keys)) < 0

    def publish(self, rows: pa.Table, durable: bool = True) -> str:
        """Add `rows` (with their `key`) as one segment: all of them or, at a crash, none. Return its name.

        Args:
            rows: what was computed.
            durable: wait until the disk has them; else only a power cut can lose them.

        Raises:
            UserError: the disk is full, the store is read-only or cannot be reached.
        """
        with said_plainly(self.folder):
            if not (self.folder / DESCRIPTION).exists():
                write_json(self.folder / DESCRIPTION, dict(self._description or {}))
            name = write_segment(self.folder, rows, durable)
        self._keys[name] = as_keys(rows.column("key").combine_chunks())
        self._index = None
        return name

    def make_one(self, names: Sequence[str], rows: pa.Table) -> str:
        """Put one durable segment in the place of `names`, which hold `rows`; return its name.

        Raises:
            UserError: as `publish`; then `names` stay.
        """
        with said_plainly(self.folder), contextlib.suppress(FileNotFoundError):  # unless another process has merged it
            if len(names) == 1:
                make_durable(self.folder / (names[0] + SUFFIX))
                return names[0]
        return self._replace(names, rows)

    def rows(self, keys: Sequence[bytes] | np.ndarray) -> pa.Table:
        """Return the rows of `keys`, in their order, without the column `key`.

        Raises:
            KeyError: one of them has no result (any more).
        """
        wanted = key_array(keys)
        for attempt in range(5):
            try:
                return self._gather(wanted).drop_columns("key")
            except OSError as error:  # another process has merged the segment since we listed it
                if attempt == 4 or not is_gone(error):
                    raise
                self.refresh()
        raise AssertionError("unreachable")

    def schema(self) -> pa.Schema | None:
        """Schema of the rows without `key`, or None where there are none."""
        for name in sorted(self._keys):
            with contextlib.suppress(FileNotFoundError):
                schema = read_schema(self.folder, name)
                return schema.remove(schema.get_field_index("key"))
        return None

    def note_sealed(self) -> None:
        """Remember that the out was sealed from these rows; a store that cannot be written forgets."""
        with contextlib.suppress(OSError):
            if self.folder.is_dir():
                (self.folder / SEALED).touch()

    def merge(self, names: Sequence[str]) -> list[str]:
        """Replace segments `names` by fewer, larger ones; those that another process took are left out."""
        merged: list[str] = []
        parts: list[pa.Table] = []
        sources: list[str] = []
        for position, name in enumerate(names):
            with contextlib.suppress(FileNotFoundError):
                if is_intact(self.folder, name):
                    parts.append(take_rows(self.folder, name, np.arange(len(read_keys(self.folder, name)))))
                    sources.append(name)
            if parts and (sum(part.nbytes for part in parts) >= MERGED_BYTES or position == len(names) - 1):
                merged.append(self._replace(sources, pa.concat_tables(parts)))
                parts, sources = [], []
        return merged

    def compact(self) -> None:
        """Merge small segments, and clear away what killed processes left half-written."""
        with contextlib.suppress(OSError, UserError):  # a read-only store still serves
            sizes = {name: (self.folder / (name + SUFFIX)).stat() for name in self._keys}
            small = [name for name, status in sizes.items() if status.st_size < SMALL_BYTES]
            if len(small) > 1:
                self.merge(sorted(small, key=lambda name: (sizes[name].st_mtime_ns, name)))
            for left in self.folder.glob(".*.part"):
                if time.time() - left.stat().st_mtime > STALE_SECONDS:
                    left.unlink(missing_ok=True)

    def _names(self) -> set[str]:
        return {path.stem for path in self.folder.glob(f"*{SUFFIX}")} if self.folder.is_dir() else set()

    def _checked(self, name: str) -> np.ndarray | None:
        """Keys of a segment, or None if it vanished or is damaged; a damaged one is set aside."""
        path = self.folder / (name + SUFFIX)
        try:
            with contextlib.suppress(pa.ArrowException):  # also of a file whose checksum nobody asked for
                if not self._verify or is_intact(self.folder, name):
                    return read_keys(self.folder, name)
            if is_intact(self.folder, name):
                raise UserError(f"{path} was written by another version of pyarrow and cannot be read; remove it.")
        except OSError as error:
            if is_gone(error):
                return None
            with said_plainly(self.folder):
                raise
        self.damaged += 1
        with contextlib.suppress(OSError):
            path.rename(path.with_suffix(".damaged"))
        return None

    def _replace(self, sources: Sequence[str], rows: pa.Table) -> str:
        keys = as_keys(rows.column("key").combine_chunks())
        first = np.sort(np.unique(keys, return_index=True)[1])
        name = self.publish(pick(rows, first))
        for source in sources:
            if source != name:
                self._keys.pop(source, None)
                (self.folder / (source + SUFFIX)).unlink(missing_ok=True)
        self._index = None
        return name

    def _built(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(keys of all segments one after the other, their sorting order, where each segment begins).

        24 bytes a key: the segments' own arrays become parts of the first.
        """
        if self._index is None:
            names = sorted(self._keys)
            keys = np.concatenate([key_array(()), *(self._keys[name] for name in names)])
            starts = np.cumsum([0, *(len(self._keys[name]) for name in names)])
            self._keys = {name: keys[starts[i] : starts[i + 1]] for i, name in enumerate(names)}
            self._index = keys, np.argsort(keys, kind="stable"), starts
        return self._index

    def _locate(self, wanted: np.ndarray) -> np.ndarray:
        """Place of each key in the index, that in the first segment which has it; -1 where it is not."""
        keys, order, _ = self._built()
        if not len(keys):
            return np.full(len(wanted), -1)
        place = order[np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)]
        return np.where(keys[place] == wanted, place, -1)

    def _gather(self, wanted: np.ndarray) -> pa.Table:
        place = self._locate(wanted)
        if (place < 0).any():
            raise KeyError(bytes(wanted[place < 0][0]).hex())
        if not len(wanted):
            return (self.schema() or pa.schema([])).append(KEY).empty_table()
        names, starts = sorted(self._keys), self._built()[2]
        segment = np.searchsorted(starts, place, side="right") - 1
        order = np.argsort(segment, kind="stable")
        parts = [
            take_rows(self.folder, names[number], place[order][segment[order] == number] - starts[number])
            for number in np.unique(segment)
        ]
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return pick(pa.concat_tables(parts), back)


def _as_set(keys: np.ndarray) -> set[bytes]:
    return {key.ljust(KEY_BYTES, b"\0") for key in keys.tolist()}
