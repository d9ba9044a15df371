"""Content keys: what a result depends on. Which segment has which key, and which keys are missing.

A key covers the bytes that a unit reads and the fingerprint of what is done with them. Paths,
times, batch sizes and devices are no part of it: to move data or change machines recomputes
nothing. Keys are kept in arrays of 16 bytes each, because NTU RGB+D 120 has 1.8 million units.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

KEY_BYTES = 16  # 128 bits: 1.8 million keys collide with probability 5e-27
KEY = pa.field("key", pa.binary(KEY_BYTES), nullable=False)


def fingerprint_of(description: Mapping[str, Any]) -> str:
    """Hex digest of a description of a step: its version, parameters, engine and columns."""
    text = json.dumps(description, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=KEY_BYTES).hexdigest()


def content_key(fingerprint: str, *parts: bytes | str | int) -> bytes:
    """Key of the unit that reads `parts` under `fingerprint`.

    Each part goes in with its kind and length: ("ab", "c") and ("a", "bc") differ, 1 and "1" too.

    Examples:
        >>> content_key("f", b"ab", b"c") == content_key("f", b"a", b"bc")
        False
    """
    digest = hashlib.blake2b(digest_size=KEY_BYTES)
    for part in (fingerprint, *parts):
        content = part if isinstance(part, bytes) else str(part).encode()
        digest.update(f"{type(part).__name__}:{len(content)}:".encode())
        digest.update(content)
    return digest.digest()


def key_array(keys: Sequence[bytes] | np.ndarray) -> np.ndarray:
    """`keys` as (N,) `S16`."""
    return np.asarray(keys, f"S{KEY_BYTES}")


def as_keys(column: pa.Array) -> np.ndarray:
    """Copy a fixed-size binary column into (N,) `S16`."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return np.frombuffer(
        column.buffers()[1], f"S{KEY_BYTES}", len(column), column.offset * KEY_BYTES
    ).copy()


@dataclass(frozen=True)
class Snapshot:
    """The index at one moment, so that a question has one answer while another thread adds keys.

    Attributes:
        names: of the segments, sorted.
        keys: of all of them, one segment after the other, (N,) `S16`.
        order: (N,) that sorts the keys.
        starts: where each segment begins among the keys, and their end.
    """

    names: list[str]
    keys: np.ndarray
    order: np.ndarray
    starts: np.ndarray

    def places(self, wanted: np.ndarray) -> np.ndarray:
        """Place of each key, that in the first segment which has it; -1 where it is not."""
        if not len(self.keys):
            return np.full(len(wanted), -1)
        place = self.order[
            np.minimum(np.searchsorted(self.keys, wanted, sorter=self.order), len(self.keys) - 1)
        ]
        return np.where(self.keys[place] == wanted, place, -1)


class KeyIndex:
    """Which segment has which key, and in which row: 24 bytes a key. Any thread may ask or add.

    It is sorted when it is first asked after a change.
    """

    def __init__(self) -> None:
        self._keys: dict[str, np.ndarray] = {}
        self._sorted: Snapshot | None = None
        self._changing = threading.Lock()

    def __contains__(self, name: object) -> bool:
        return name in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __getitem__(self, name: str) -> np.ndarray:
        return self._keys[name]

    def add(self, name: str, keys: np.ndarray) -> None:
        """Take in a segment."""
        with self._changing:
            self._keys = {**self._keys, name: keys}
            self._sorted = None

    def remove(self, names: Collection[str]) -> None:
        """Forget segments, where they are known."""
        self.keep(self._keys.keys() - names)

    def keep(self, names: Collection[str]) -> None:
        """Forget all segments but `names`."""
        with self._changing:
            kept = {name: keys for name, keys in self._keys.items() if name in names}
            if len(kept) < len(self._keys):
                self._keys, self._sorted = kept, None

    def rows(self) -> dict[str, int]:
        """Names of the segments and how many rows each holds."""
        return {name: len(keys) for name, keys in self._keys.items()}

    def count(self) -> int:
        """How many keys there are; one in two segments counts once."""
        return len(np.unique(np.concatenate([key_array(()), *self._keys.values()])))

    def known(self) -> set[bytes]:
        """All keys, as objects: many times what arrays take."""
        return set().union(*map(_as_set, self._keys.values()))

    def lacks(self, wanted: np.ndarray) -> np.ndarray:
        """Which of the keys `wanted` no segment has, (N,) bool."""
        return self._built().places(wanted) < 0

    def find(self, wanted: np.ndarray) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Where the keys `wanted` are, each in the first segment that has it.

        Returns:
            names of segments; of each key, the number of its segment (N,) and its row there (N,).

        Raises:
            KeyError: no segment has one of them.
        """
        index = self._built()
        places = index.places(wanted)
        if (places < 0).any():
            raise KeyError(bytes(wanted[places < 0][0]).hex())
        segment = np.searchsorted(index.starts, places, side="right") - 1
        return index.names, segment, places - index.starts[segment]

    def _built(self) -> Snapshot:
        """Sort; the segments' own arrays become parts of one array."""
        with self._changing:
            if self._sorted is None:
                names = sorted(self._keys)
                keys = np.concatenate([key_array(()), *(self._keys[name] for name in names)])
                starts = np.cumsum([0, *(len(self._keys[name]) for name in names)])
                self._keys = {name: keys[starts[i] : starts[i + 1]] for i, name in enumerate(names)}
                self._sorted = Snapshot(names, keys, np.argsort(keys, kind="stable"), starts)
            return self._sorted


def _as_set(keys: np.ndarray) -> set[bytes]:
    return {key.ljust(KEY_BYTES, b"\0") for key in keys.tolist()}


class Missing:
    """Keys to compute, 21 bytes each; one that several shards ask for is the first one's.

    Args:
        shards: names of the stage's shards, in order.
        keys: of each shard those without a result, `S16`, in any order; the list is emptied.
        own: of each shard which of them are this process's share, bool.
    """

    def __init__(
        self, shards: Sequence[str], keys: list[np.ndarray], own: Sequence[np.ndarray]
    ) -> None:
        self._shards = list(shards)
        shard = np.repeat(np.arange(len(keys), dtype=np.int32), [len(column) for column in keys])
        wanted = np.concatenate([key_array(()), *keys])
        keys.clear()  # they are copied: as much again as all that is kept
        order = np.argsort(wanted, kind="stable")
        wanted = wanted[order]
        kept = np.concatenate([np.empty(0, bool), *own])[order]
        kept[1:] &= wanted[1:] != wanted[:-1]
        self._keys, self._shard = wanted[kept], shard[order][kept]
        self._left = np.ones(len(self._keys), bool)

    def __len__(self) -> int:
        return int(np.count_nonzero(self._left))

    def has(self, keys: Sequence[bytes] | np.ndarray, shard: str | None = None) -> np.ndarray:
        """Which of `keys` are missing, (N,) bool; with `shard`, which are and belong to it."""
        position, found = self._find(key_array(keys))
        found[found] = self._left[position[found]]
        if shard is not None:
            found[found] = self._shard[position[found]] == self._shards.index(shard)
        return found

    def among(self, keys: Iterable[bytes]) -> set[bytes]:
        """Those of a few `keys` that are missing."""
        few = list(keys)
        return {key for key, lacks in zip(few, self.has(few), strict=True) if lacks}

    def drop(self, keys: Sequence[bytes] | np.ndarray) -> int:
        """Take `keys` as no longer missing; return how many of them were."""
        before = len(self)
        position, found = self._find(key_array(keys))
        self._left[position[found]] = False
        return before - len(self)

    def counts(self, without: Iterable[bytes] = ()) -> dict[str, int]:
        """How many keys each shard lacks, not counting a few others; only shards that lack some."""
        left = self._left.copy()
        position, found = self._find(key_array(list(without)))
        left[position[found]] = False
        counts = np.bincount(self._shard[left], minlength=len(self._shards)).tolist()
        return {shard: count for shard, count in zip(self._shards, counts, strict=True) if count}

    def _find(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(position, whether it is there) of each key."""
        position = np.searchsorted(self._keys, wanted)
        found = position < len(self._keys)
        found[found] = self._keys[position[found]] == wanted[found]
        return position, found
