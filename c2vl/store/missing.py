"""The missing keys of a stage, and the batches in which they are computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

import numpy as np

from c2vl.store.keys import key_array
from c2vl.store.stage import Stage, Unit
from c2vl.store.store import Store

Item = TypeVar("Item")
MOST_UNITS, FEWEST_UNITS = 256, 16  # of a block; powers of two, like most batch sizes
BLOCKS_A_SHARD = 8  # at least, if the shard has enough units


class Missing:
    """The keys to compute, in 21 bytes each. A key of several shards belongs to the first.

    Args:
        shards: names of the stage's shards, in order.
        keys: for each shard its keys without a result, `S16`, in any order; emptied here.
        own: for each shard which of these keys are in this process's share, bool.
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
        """Return which of `keys` are missing, (N,) bool; with `shard`, only keys of that shard."""
        position, found = self._find(key_array(keys))
        found[found] = self._left[position[found]]
        if shard is not None:
            found[found] = self._shard[position[found]] == self._shards.index(shard)
        return found

    def among(self, keys: Iterable[bytes]) -> set[bytes]:
        """Return those of `keys` that are missing; meant for few keys."""
        few = list(keys)
        return {key for key, lacks in zip(few, self.has(few), strict=True) if lacks}

    def drop(self, keys: Sequence[bytes] | np.ndarray) -> int:
        """Remove `keys` from the missing ones; return how many of them were missing."""
        before = len(self)
        position, found = self._find(key_array(keys))
        self._left[position[found]] = False
        return before - len(self)

    def counts(self, without: Iterable[bytes] = ()) -> dict[str, int]:
        """Return how many keys each shard lacks, not counting those in `without`, and no zeros."""
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


def missing_batches(
    store: Store,
    stage: Stage,
    missing: Missing,
    size: int,
    kept: dict[str, Sequence[Unit]],
    start: float = 0.0,
) -> Iterator[list[Unit]]:
    """Yield batches of at most `size` missing units.

    A result that appears meanwhile is left out. Batches are cut as if all units were computed, so a
    resumed run cuts them as the first run did.

    Args:
        store: where results go, also those of other processes.
        stage: the stage; it reads the units of a shard again, unless they are `kept`.
        missing: the keys to compute; results of other processes are dropped from it.
        size: of a batch.
        kept: units by shard; emptied on the way.
        start: where among the shards and blocks to begin, from 0 to 1.
    """
    for shard in rotated(list(missing.counts()), start):
        units = kept.pop(shard, None)
        units = stage.units(shard, store.fingerprint) if units is None else units
        for block in rotated(list(blocks(units)), start):
            if not missing.has(_keys(block), shard).any():
                continue
            missing.drop(store.refresh())  # what other processes published meanwhile
            for batch in batches(block, size):
                lacks = missing.has(_keys(batch), shard)
                todo = [unit for unit, lacking in zip(batch, lacks, strict=True) if lacking]
                if todo:
                    yield todo


def _keys(units: Sequence[Unit]) -> np.ndarray:
    """Return the keys of units, (N,) `S16`; empty where there is nothing to compute."""
    return key_array([unit.key or b"" for unit in units])


def batches(units: Sequence[Unit], size: int) -> Iterator[list[Unit]]:
    """Cut units into batches of at most `size`; keep a sample's units together if they fit.

    The cut depends only on the units and `size`. So a resumed run computes the same batches as the
    first run, and gets the same results, which may depend on their batch in the last bit.
    """
    batch: list[Unit] = []
    for _, members in groupby(units, key=lambda unit: unit.identity["sample"]):
        sample = list(members)
        if batch and len(batch) + len(sample) > size:
            yield batch
            batch = []
        batch += sample
        while len(batch) > size:
            yield batch[:size]
            batch = batch[size:]
    if batch:
        yield batch


def blocks(units: Sequence[Unit]) -> Iterator[list[Unit]]:
    """Cut the units of a shard that have a key, each key once, into blocks.

    Batches are cut within blocks. So the batch size does not change the shares, and the shares do
    not change the batches.
    """
    first = list({unit.key: unit for unit in reversed(units) if unit.key is not None}.values())[
        ::-1
    ]
    size = MOST_UNITS
    while size > FEWEST_UNITS and size * BLOCKS_A_SHARD > len(first):
        size //= 2
    return batches(first, size)


def rotated(items: Sequence[Item], start: float) -> list[Item]:
    """Return all items, beginning at the place `start` (from 0 to 1) and going round.

    Examples:
        >>> rotated("abcd", 0), rotated("abcd", 0.5)
        (['a', 'b', 'c', 'd'], ['c', 'd', 'a', 'b'])
    """
    at = int(start * len(items))
    return [*items[at:], *items[:at]]
