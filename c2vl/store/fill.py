"""Fill the store: compute the missing units of a stage, batch by batch, and only those."""

from __future__ import annotations

import gc
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import chain
from typing import Any

import pyarrow as pa

from c2vl.core.errors import UserError
from c2vl.core.machine import workers_each
from c2vl.core.progress import progress
from c2vl.core.workers import deaf_to_interrupts, step_back
from c2vl.store.batch import Done, done_here, each, rows_with_keys
from c2vl.store.filled import Filled, TooManyError, too_many
from c2vl.store.missing import Missing
from c2vl.store.publisher import Publisher
from c2vl.store.readers import Prepared, Readers
from c2vl.store.segments import Written
from c2vl.store.store import Store
from c2vl.store.todo import ahead, missing_batches, unit_key
from c2vl.store.work import Closing, Completing, Failure, Row, Unit, Work

Outcome = tuple[bytes, Row | Failure | None]  # key, failure or something else
Batch = tuple[
    list[Unit], Prepared, list[Any]
]  # units, what was prepared, what the engine made of it; failures in both
MOST_AHEAD = 8  # prepared batches that may wait for the engine; 16 full-HD frames each are 100 MB
MOST_BEHIND = 2  # computed batches that may wait to be completed


def fill(
    store: Store,
    work: Work,
    missing: Missing,
    allowed: float,
    columns: pa.Schema,
    kept: dict[str, Sequence[Unit]] | None = None,
) -> Filled:
    """Compute and publish what `store` lacks.

    What other processes publish meanwhile is noticed before each block of units (`c2vl.store.share.blocks`) and not
    computed again.

    Args:
        store: where results go.
        work: the stage; its engine is loaded already.
        missing: keys to compute; batches are cut as if all were computed. Those that others compute are dropped from it.
        allowed: number of failures above which it makes no sense to go on.
        columns: schema of the rows that `work.compute` returns.
        kept: units of shards that were read already; they are let go one by one.

    Raises:
        TooManyError: as its name says.
        UserError: the store cannot be written.
        KeyboardInterrupt: whatever ends the stage; finished batches are published.
    """
    filled = Filled()
    size = work.batch_size()  # on a GPU found by trying, which is no part of the filling's rate
    pool = work.pool()
    readers = Readers(work, pool, len(missing), min(workers_each(), MOST_AHEAD))
    asked = began = time.perf_counter()
    gc.freeze()  # engine and libraries are no garbage; to look through them now and then takes as long as some small batches
    try:
        readers.start()
        began = time.perf_counter()
        filled.starting_seconds = began - asked
        # The writer ends, with what it was given, before the publisher does.
        with (
            Publisher(store, columns) as publisher,
            ThreadPoolExecutor(1, "write", step_back) as writer,
        ):
            todo = missing_batches(store, work, missing, size, {} if kept is None else kept)
            if isinstance(pool, ProcessPoolExecutor):
                outcomes = _done_elsewhere(store, work, todo, publisher, pool)
            else:
                computed, publish = (
                    _computed(work, todo, readers, filled),
                    partial(_publish, work, readers, store, publisher),
                )
                if isinstance(work, Completing):
                    outcomes = _meanwhile(computed, publish, writer)
                else:  # publishing takes milliseconds; done meanwhile, a kill could cost two batches of the engine
                    outcomes = chain.from_iterable(publish(*batch) for batch in computed)
            for key, outcome in progress(outcomes, work.stage, "units", len(missing)):
                if not isinstance(outcome, Failure):
                    filled.computed += 1
                    continue
                filled.failures[key] = outcome
                if len(filled.failures) > allowed:
                    reasons = Counter(failure.reason for failure in filled.failures.values())
                    raise TooManyError(
                        too_many(work, reasons, f"{filled.computed:,} succeeded so far"),
                        filled.failures,
                    )
    except BrokenProcessPool:
        raise UserError(
            f"{work.stage}: a worker process was killed, most likely for lack of memory; "
            "lower C2VL_WORKERS and run again: what it finished is kept."
        ) from None
    finally:
        gc.unfreeze()
        readers.shutdown()
        if isinstance(work, Closing):
            work.close()
        pool.shutdown(cancel_futures=True)
    filled.seconds = time.perf_counter() - began
    return filled


def _done_elsewhere(
    store: Store, work: Work, todo: Iterator[list[Unit]], publisher: Publisher, pool: Executor
) -> Iterator[Outcome]:
    """Yield each unit's outcome, its batch done by a worker process and handed to the publisher before."""
    store.describe()
    whole = partial(done_here, work.prepare, store.folder, publisher.schema)

    def submit(batch: list[Unit]) -> Future[Done]:
        with deaf_to_interrupts():  # the first calls start processes
            return pool.submit(whole, batch)

    # Each process should have some, and one more to go on with.
    for batch, done in ahead(todo, submit, lambda _, done: done.result(), workers_each()):
        _hand_over(done, publisher)
        yield from _outcomes(batch, done.failures)


def _computed(
    work: Work, todo: Iterator[list[Unit]], readers: Readers, filled: Filled
) -> Iterator[Batch]:
    """Yield batches that the engine is done with."""
    first = 0.0
    for batch, ready in ahead(
        todo, readers.submit, readers.prepared, min(workers_each(), MOST_AHEAD)
    ):
        began = time.perf_counter()
        computed = _of_good(work.compute, ready.items, batch, ready.items)
        ended = time.perf_counter()
        filled.engine_seconds += ended - began
        if not filled.first_units:
            filled.first_units, first = len(batch), ended
        filled.later_seconds = ended - first
        yield batch, ready, computed


def _meanwhile(
    computed: Iterator[Batch],
    publish: Callable[[list[Unit], Prepared, list[Any]], list[Outcome]],
    writer: Executor,
) -> Iterator[Outcome]:
    """Yield each unit's outcome once its batch is completed and published, which is done while the engine computes the next.

    A batch more may wait: where processes complete, behind one that they prepare.
    """
    waiting: deque[Future[list[Outcome]]] = deque()
    for batch in computed:
        waiting.append(writer.submit(publish, *batch))
        if len(waiting) > MOST_BEHIND:
            yield from waiting.popleft().result()
    for last in waiting:
        yield from last.result()


def _publish(
    work: Work,
    readers: Readers,
    store: Store,
    publisher: Publisher,
    batch: list[Unit],
    ready: Prepared,
    computed: list[Any],
) -> list[Outcome]:
    """Complete a batch's rows and hand them to the publisher."""
    rows = computed
    if isinstance(work, Completing):
        store.describe()
        done = readers.completed(batch, ready, computed, store.folder, publisher.schema)
        if done is not None:
            _hand_over(done, publisher)
            return _outcomes(batch, done.failures)
        rows = _of_good(work.completed, computed, batch, ready.items, computed)
    publisher.add_table(rows_with_keys([unit.key for unit in batch], rows, publisher.schema))
    return _outcomes(batch, rows)


def _hand_over(done: Done, publisher: Publisher) -> None:
    if isinstance(done.rows, Written):
        publisher.add_published(done.rows)
    else:
        publisher.add_table(done.rows)


def _outcomes(batch: Sequence[Unit], outcomes: Sequence[Row | Failure | None]) -> list[Outcome]:
    return [(unit_key(unit), outcome) for unit, outcome in zip(batch, outcomes, strict=True)]


def _of_good(
    function: Callable[..., list[Any]], items: Sequence[Any], *columns: Sequence[Any]
) -> list[Any]:
    """`function` of the columns' rows where `items` holds no failure; the failure elsewhere."""
    good = [position for position, item in enumerate(items) if not isinstance(item, Failure)]
    made = (
        each(function, *([column[position] for position in good] for column in columns))
        if good
        else []
    )
    outcomes = list(items)
    for position, outcome in zip(good, made, strict=True):
        outcomes[position] = outcome
    return outcomes
