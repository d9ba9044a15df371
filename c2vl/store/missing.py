"""The keys that a stage lacks, in arrays: 21 bytes each, a sixth of a set's. NTU RGB+D 120 has 1.8 million units."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from c2vl.store.segments import key_array


class Missing:
    """Keys to compute; one that several shards ask for is the first one's.

    Args:
        shards: names of the stage's shards, in order.
        keys: of each shard the keys that have no result, `S16`; in any order, also repeatedly. The list is emptied.
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
        """How many keys each shard lacks that are not among a few others, `without`; only shards that lack some."""
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
