"""Which segment of a store has which key, and in which row: 24 bytes a key."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from c2vl.store.keys import KEY_BYTES
from c2vl.store.segments import key_array


class KeyIndex:
    """Names of segments and their keys `S16`; sorted when it is first asked after a change."""

    def __init__(self) -> None:
        self._keys: dict[str, np.ndarray] = {}
        self._sorted: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def __contains__(self, name: object) -> bool:
        return name in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __getitem__(self, name: str) -> np.ndarray:
        return self._keys[name]

    def add(self, name: str, keys: np.ndarray) -> None:
        """Take in a segment."""
        self._keys[name] = keys
        self._sorted = None

    def remove(self, name: str) -> None:
        """Forget a segment, if it is known."""
        if self._keys.pop(name, None) is not None:
            self._sorted = None

    def keep(self, names: Collection[str]) -> None:
        """Forget all segments but `names`."""
        self._keys = {name: keys for name, keys in self._keys.items() if name in names}
        self._sorted = None

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
        return self._places(wanted) < 0

    def find(self, wanted: np.ndarray) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Where the keys `wanted` are, each in the first segment that has it.

        Returns:
            names of segments, and of each key (N,) the number of its segment among them and (N,) its row there.

        Raises:
            KeyError: no segment has one of them.
        """
        places, names = self._places(wanted), sorted(self._keys)
        if (places < 0).any():
            raise KeyError(bytes(wanted[places < 0][0]).hex())
        starts = self._built()[2]
        segment = np.searchsorted(starts, places, side="right") - 1
        return names, segment, places - starts[segment]

    def _places(self, wanted: np.ndarray) -> np.ndarray:
        """Place of each key in the index, that in the first segment which has it; -1 where it is not."""
        keys, order, _ = self._built()
        if not len(keys):
            return np.full(len(wanted), -1)
        place = order[np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)]
        return np.where(keys[place] == wanted, place, -1)

    def _built(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(keys of all segments one after the other, their sorting order, where each segment begins).

        The segments' own arrays become parts of the first.
        """
        if self._sorted is None:
            names = sorted(self._keys)
            keys = np.concatenate([key_array(()), *(self._keys[name] for name in names)])
            starts = np.cumsum([0, *(len(self._keys[name]) for name in names)])
            self._keys = {name: keys[starts[i] : starts[i + 1]] for i, name in enumerate(names)}
            self._sorted = keys, np.argsort(keys, kind="stable"), starts
        return self._sorted


def _as_set(keys: np.ndarray) -> set[bytes]:
    return {key.ljust(KEY_BYTES, b"\0") for key in keys.tolist()}
