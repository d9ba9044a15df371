"""Fill the store: compute the missing units of a stage, batch by batch, and only those."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from types import FrameType
from typing import Any

import pyarrow as pa

from c2vl.errors import UserError
from c2vl.machine import workers
from c2vl.progress import progress
from c2vl.store.publisher import Publisher
from c2vl.store.store import Store
from c2vl.store.work import Failure, Row, Unit, Work

MOST_AHEAD = 8  # prepared batches that may wait for the engine; 16 full-HD frames each are 100 MB


@dataclass
class Filled:
    """What one run did: units computed, failures by key, seconds in the engine."""

    computed: int = 0
    failures: dict[bytes, Failure] = field(default_factory=dict)
    engine_seconds: float = 0.0


def fill(store: Store, work: Work, shards: Iterable[Sequence[Unit]], total: int, allowed: float, columns: pa.Schema) -> Filled:
    """Compute and publish what `store` lacks.

    Args:
        store: where results go.
        work: the stage; its engine is loaded already.
        shards: all units of each shard that lacks any; those that have a result are not computed again, but
            batches are cut as if they were.
        total: missing units in all, for the progress bar.
        allowed: number of failures above which it makes no sense to go on.
        columns: schema of the rows that `work.compute` returns.

    Raises:
        UserError: too many failures, or the store cannot be written.
        KeyboardInterrupt: SIGINT or SIGTERM came; finished batches are published.
    """
    filled = Filled()
    pool = work.pool()
    try:
        with _interruptible(), Publisher(store, columns) as publisher:
            for key, outcome in progress(_outcomes(store, work, shards, publisher, pool, filled), work.stage, "units", total):
                if not isinstance(outcome, Failure):
                    filled.computed += 1
                    continue
                filled.failures[key] = outcome
                if len(filled.failures) > allowed:
                    raise UserError(too_many(work, filled.failures.values(), f"{filled.computed} succeeded so far"))
    except BrokenProcessPool:
        raise UserError(
            f"{work.stage}: a worker process was killed, most likely for lack of memory; "
            "lower C2VL_WORKERS and run again: what it finished is kept."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)
    return filled


def too_many(work: Work, failures: Iterable[Failure], beside: str) -> str:
    """The sentence of a stage that fails as a whole."""
    reasons = Counter(failure.reason for failure in failures)
    (most, count), failed = reasons.most_common(1)[0], sum(reasons.values())
    return (
        f"{work.stage}: {failed:,} units failed and {beside}: above the share of {work.max_failed:g} that "
        f"`max_failed` in params.yaml allows; most often ({count:,}): {most}"
    )


def batches(units: Sequence[Unit], size: int) -> Iterator[list[Unit]]:
    """Cut the units of a shard into batches of at most `size`, keeping a sample's units together where they fit.

    Depends on nothing but the units and `size`. So a resumed run cuts as the first did, and results that move
    in the last bit with the batch they are computed in come out the same.
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


def _outcomes(
    store: Store,
    work: Work,
    shards: Iterable[Sequence[Unit]],
    publisher: Publisher,
    pool: Executor,
    filled: Filled,
) -> Iterator[tuple[bytes, Row | Failure]]:
    """Yield (key, row or failure) of each missing unit, its batch handed to the publisher before."""
    todo = _missing(store, shards, work.batch_size())
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


def _missing(store: Store, shards: Iterable[Sequence[Unit]], size: int) -> Iterator[list[Unit]]:
    """Yield batches reduced to what is missing; equal keys are asked once."""
    asked: set[bytes] = set()
    for shard in shards:
        units = list({unit.key: unit for unit in reversed(shard) if unit.key is not None}.values())[::-1]
        absent = store.missing([_key(unit) for unit in units])
        lacking = {_key(unit) for unit, missing in zip(units, absent, strict=True) if missing} - asked
        asked |= lacking
        for batch in batches(units, size):
            todo = [unit for unit in batch if unit.key in lacking]
            if todo:
                yield todo


def _ahead(
    todo: Iterator[list[Unit]], prepare: Callable[[list[Unit]], list[Any]], pool: Executor
) -> Iterator[tuple[list[Unit], list[Any]]]:
    """Prepare batches in `pool` while the caller computes earlier ones; they come out in order."""
    waiting: deque[tuple[list[Unit], Future[list[Any]]]] = deque()
    for batch in todo:
        waiting.append((batch, pool.submit(prepare, batch)))
        if len(waiting) > min(workers(), MOST_AHEAD):
            first, ready = waiting.popleft()
            yield first, ready.result()
    while waiting:
        first, ready = waiting.popleft()
        yield first, ready.result()


def each(function: Callable[..., list[Any]], *columns: Sequence[Any]) -> list[Any]:
    """Call `function` on whole columns; if that raises, on each row alone, so that a bad one spoils no other."""
    try:
        return function(*columns)
    except UserError:
        raise
    except Exception as error:
        if len(columns[0]) > 1:
            return [one for row in zip(*columns, strict=True) for one in each(function, *([item] for item in row))]
        said = " ".join(str(error).split())[:200]
        return [Failure("error", f"{type(error).__name__}: {said}")]


def _key(unit: Unit) -> bytes:
    assert unit.key is not None
    return unit.key


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM (a scheduler's or `kill`'s) end the stage as Ctrl-C does, with everything finished published."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
