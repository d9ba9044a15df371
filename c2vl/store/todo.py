"""The batches that a stage has to compute, in order, and having some of them ready ahead of time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

import numpy as np

from c2vl.store.missing import Missing
from c2vl.store.segments import key_array
from c2vl.store.share import batches, blocks
from c2vl.store.store import Store
from c2vl.store.work import Unit, Work

Result = TypeVar("Result")


def missing_batches(
    store: Store, work: Work, missing: Missing, size: int, kept: dict[str, Sequence[Unit]]
) -> Iterator[list[Unit]]:
    """Yield batches reduced to what is missing when they are asked for.

    Args:
        store: what others publish in it meanwhile is dropped from `missing`.
        work: whose units they are.
        missing: keys to compute.
        size: of a batch.
        kept: units of shards that were read already; they are let go one by one.
    """
    for shard in missing.counts():
        units = kept.pop(shard, None)
        for block in blocks(work.units(shard, store.fingerprint) if units is None else units):
            if not missing.has(unit_keys(block), shard).any():
                continue
            missing.drop(
                store.refresh()
            )  # what other processes published since the shares were made
            for batch in batches(block, size):
                lacks = missing.has(unit_keys(batch), shard)
                todo = [unit for unit, lacking in zip(batch, lacks, strict=True) if lacking]
                if todo:
                    yield todo


def ahead(
    todo: Iterator[list[Unit]],
    submit: Callable[[list[Unit]], Future[Any]],
    result: Callable[[list[Unit], Future[Any]], Result],
    most: int,
) -> Iterator[tuple[list[Unit], Result]]:
    """Have up to `most` batches made ready while the caller is busy with an earlier one; they come out in order."""
    waiting: deque[tuple[list[Unit], Future[Any]]] = deque()
    for batch in todo:
        waiting.append((batch, submit(batch)))
        if len(waiting) > most:
            first, ready = waiting.popleft()
            yield first, result(first, ready)
    while waiting:
        first, ready = waiting.popleft()
        yield first, result(first, ready)


def unit_key(unit: Unit) -> bytes:
    """The key of a unit that has something to compute."""
    assert unit.key is not None
    return unit.key


def unit_keys(units: Sequence[Unit]) -> np.ndarray:
    """Their keys, (N,) `S16`."""
    return key_array([unit_key(unit) for unit in units])
