"""Content keys, and the index of keys in segments.

A key covers the bytes that a unit reads and the fingerprint of its stage. It covers no path, time,
batch size or device, so moving data or changing machines recomputes nothing. Keys are kept in
arrays of 16 bytes each, because NTU RGB+D 120 has 1.8 million units.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

KEY_BYTES = 16  # 128 bits: 1.8 million keys collide with probability 5e-27
KEY = pa.field("key", pa.binary(KEY_BYTES), nullable=False)


def fingerprint_of(description: Mapping[str, Any]) -> str:
    """Return the hex digest of a description: version, parameters, engine and columns."""
    text = json.dumps(description, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=KEY_BYTES).hexdigest()


def content_key(fingerprint: str, *parts: bytes | str | int) -> bytes:
    """Return the key of the unit that reads `parts` under `fingerprint`.

    Each part is hashed with its type and length: ("ab", "c") and ("a", "bc") differ, 1 and "1" too.

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
    """Return `keys` as an array (N,) of `S16`."""
    return np.asarray(keys, f"S{KEY_BYTES}")


def as_keys(column: pa.Array) -> np.ndarray:
    """Copy a fixed-size binary column into an array (N,) of `S16`."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return np.frombuffer(
        column.buffers()[1], f"S{KEY_BYTES}", len(column), column.offset * KEY_BYTES
    ).copy()


@dataclass(frozen=True)
class Snapshot:
    """The index at one moment: a lookup stays consistent while another thread adds keys.

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
        """Return the place of each key in the first segment that has it, or -1."""
        if not len(self.keys):
            return np.full(len(wanted), -1)
        place = self.order[
            np.minimum(np.searchsorted(self.keys, wanted, sorter=self.order), len(self.keys) - 1)
        ]
        return np.where(self.keys[place] == wanted, place, -1)


class KeyIndex:
    """Maps keys to segments and rows, in 24 bytes per key. It is thread-safe.

    It is sorted at the first lookup after a change.
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
        """Add a segment."""
        with self._changing:
            self._keys = {**self._keys, name: keys}
            self._sorted = None

    def remove(self, names: Collection[str]) -> None:
        """Remove segments; unknown names are ignored."""
        self.keep(self._keys.keys() - names)

    def keep(self, names: Collection[str]) -> None:
        """Remove all segments except `names`."""
        with self._changing:
            kept = {name: keys for name, keys in self._keys.items() if name in names}
            if len(kept) < len(self._keys):
                self._keys, self._sorted = kept, None

    def rows(self) -> dict[str, int]:
        """Return the number of rows of each segment, by name."""
        return {name: len(keys) for name, keys in self._keys.items()}

    def count(self) -> int:
        """Return the number of keys; one that is in two segments counts once."""
        return len(np.unique(np.concatenate([key_array(()), *self._keys.values()])))

    def known(self) -> set[bytes]:
        """Return all keys as objects, which take much more memory than arrays."""
        return set().union(*map(_as_set, self._keys.values()))

    def lacks(self, wanted: np.ndarray) -> np.ndarray:
        """Return for each key whether no segment has it, (N,) bool."""
        return self._built().places(wanted) < 0

    def find(self, wanted: np.ndarray) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Find the first segment that has each of the keys `wanted`.

        Returns:
            names of segments; for each key the number of its segment (N,) and its row there (N,).

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
