"""Which segment of a store has which key, and in which row: 24 bytes a key."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from c2vl.store.keys import KEY_BYTES
from c2vl.store.segments import key_array


@dataclass(frozen=True)
class Snapshot:
    """The index at one moment: what is asked of it is answered from one of these, whatever another thread adds meanwhile.

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
    """Names of segments and their keys `S16`; sorted when it is first asked after a change. Any thread may ask or add."""

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
            names of segments, and of each key (N,) the number of its segment among them and (N,) its row there.

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
        """The segments' own arrays become parts of its keys."""
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
