"""Fill the store: compute the missing units of a stage, batch by batch, and only those."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from c2vl.errors import UserError
from c2vl.machine import workers
from c2vl.progress import progress
from c2vl.store.batch import Written, done_here, each
from c2vl.store.missing import Missing
from c2vl.store.publisher import Publisher
from c2vl.store.segments import key_array
from c2vl.store.share import batches, blocks
from c2vl.store.store import Store
from c2vl.store.work import Failure, Row, Unit, Work

Result = TypeVar("Result")
MOST_AHEAD = 8  # prepared batches that may wait for the engine; 16 full-HD frames each are 100 MB


@dataclass
class Filled:
    """What one run did: units computed, failures by key, seconds in the engine and in all of the filling."""

    computed: int = 0
    failures: dict[bytes, Failure] = field(default_factory=dict)
    engine_seconds: float = 0.0
    seconds: float = 0.0


def fill(store: Store, work: Work, missing: Missing, allowed: float, columns: pa.Schema) -> Filled:
    """Compute and publish what `store` lacks.

    What other processes publish meanwhile is noticed before each block of units (`c2vl.store.share.blocks`) and not
    computed again.

    Args:
        store: where results go.
        work: the stage; its engine is loaded already.
        missing: keys to compute; batches are cut as if all were computed. Those that others compute are dropped from it.
        allowed: number of failures above which it makes no sense to go on.
        columns: schema of the rows that `work.compute` returns.

    Raises:
        UserError: too many failures, or the store cannot be written.
        KeyboardInterrupt: whatever ends the stage; finished batches are published.
    """
    filled = Filled()
    size = work.batch_size()  # on a GPU found by trying, which is no part of the filling's rate
    began = time.perf_counter()
    pool = work.pool()
    try:
        with Publisher(store, columns) as publisher:
            outcomes = _outcomes(store, work, missing, size, publisher, pool, filled)
            for key, outcome in progress(outcomes, work.stage, "units", len(missing)):
                if not isinstance(outcome, Failure):
                    filled.computed += 1
                    continue
                filled.failures[key] = outcome
                if len(filled.failures) > allowed:
                    reasons = Counter(failure.reason for failure in filled.failures.values())
                    raise UserError(too_many(work, reasons, f"{filled.computed} succeeded so far"))
    except BrokenProcessPool:
        raise UserError(
            f"{work.stage}: a worker process was killed, most likely for lack of memory; "
            "lower C2VL_WORKERS and run again: what it finished is kept."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)
    filled.seconds = time.perf_counter() - began
    return filled


def too_many(work: Work, reasons: Counter[str], beside: str) -> str:
    """The sentence of a stage that fails as a whole; `reasons` counts its failures."""
    (most, count), failed = reasons.most_common(1)[0], reasons.total()
    return (
        f"{work.stage}: {failed:,} units failed and {beside}: above the share of {work.max_failed:g} that "
        f"`max_failed` in params.yaml allows; most often ({count:,}): {most}"
    )


def _outcomes(
    store: Store,
    work: Work,
    missing: Missing,
    size: int,
    publisher: Publisher,
    pool: Executor,
    filled: Filled,
) -> Iterator[tuple[bytes, Row | Failure | None]]:
    """Yield (key, failure or something else) of each missing unit, its batch handed to the publisher before."""
    todo = _missing(store, work, missing, size)
    if isinstance(pool, ProcessPoolExecutor):
        store.describe()
        whole = partial(done_here, work.prepare, store.folder, publisher.schema)
        for batch, done in _ahead(todo, whole, pool):
            if isinstance(done.rows, Written):
                publisher.add_published(done.rows.name, done.rows.keys, done.rows.size)
            else:
                publisher.add_table(done.rows)
            yield from ((_key(unit), failure) for unit, failure in zip(batch, done.failures, strict=True))
        return
    for batch, ready in _ahead(todo, partial(each, work.prepare), pool):
        good = [position for position, item in enumerate(ready) if not isinstance(item, Failure)]
        outcomes: list[Any] = list(ready)
        began = time.perf_counter()
        computed = each(work.compute, [batch[i] for i in good], [ready[i] for i in good]) if good else []
        filled.engine_seconds += time.perf_counter() - began
        for position, outcome in zip(good, computed, strict=True):
            outcomes[position] = outcome
        rows = [(_key(unit), row) for unit, row in zip(batch, outcomes, strict=True) if not isinstance(row, Failure)]
        publisher.add([key for key, _ in rows], [row for _, row in rows])
        yield from ((_key(unit), outcome) for unit, outcome in zip(batch, outcomes, strict=True))


def _missing(store: Store, work: Work, missing: Missing, size: int) -> Iterator[list[Unit]]:
    """Yield batches reduced to what is missing when they are asked for."""
    for shard in missing.counts():
        for block in blocks(work.units(shard, store.fingerprint)):
            if not missing.has(_keys(block), shard).any():
                continue
            missing.drop(store.refresh())  # what other processes published since the shares were made
            for batch in batches(block, size):
                lacks = missing.has(_keys(batch), shard)
                todo = [unit for unit, lacking in zip(batch, lacks, strict=True) if lacking]
                if todo:
                    yield todo


def _ahead(
    todo: Iterator[list[Unit]], prepare: Callable[[list[Unit]], Result], pool: Executor
) -> Iterator[tuple[list[Unit], Result]]:
    """Prepare batches in `pool` while the caller computes earlier ones; they come out in order."""
    # Threads only read ahead of the engine; processes do all the work there is, and each should have some.
    most = workers() if isinstance(pool, ProcessPoolExecutor) else min(workers(), MOST_AHEAD)
    waiting: deque[tuple[list[Unit], Future[Result]]] = deque()
    for batch in todo:
        waiting.append((batch, pool.submit(prepare, batch)))
        if len(waiting) > most:
            first, ready = waiting.popleft()
            yield first, ready.result()
    while waiting:
        first, ready = waiting.popleft()
        yield first, ready.result()


def _key(unit: Unit) -> bytes:
    assert unit.key is not None
    return unit.key


def _keys(units: Sequence[Unit]) -> np.ndarray:
    return key_array([_key(unit) for unit in units])
