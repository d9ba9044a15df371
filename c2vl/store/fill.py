"""Fill the store: compute the missing units of a stage, batch by batch, and only those."""

from __future__ import annotations

import gc
import logging
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import Any

from c2vl.core.errors import UserError
from c2vl.core.machine import workers_each
from c2vl.core.progress import progress
from c2vl.core.workers import WorkersEndedError, in_processes, in_threads, step_back
from c2vl.store.failures import TooManyError, forget_passed_on, too_many
from c2vl.store.in_workers import CRASHED, by_workers, try_singly
from c2vl.store.missing import missing_batches
from c2vl.store.plan import Plan
from c2vl.store.publish import Outcome, Publisher, stored_columns
from c2vl.store.stage import Failure, Stage, Unit, each
from c2vl.store.store import Store

log = logging.getLogger(__name__)

MOST_AHEAD = 8  # prepared batches that may wait for the engine; 16 full-HD frames are 100 MB
MOST_BEHIND = 2  # computed batches that may wait to be completed
MOST_PROCESSES = 8  # they prepare for one engine
LONG = 512  # batches; from here on, processes save more time than their start takes
PREPARE, WAYS = "C2VL_PREPARE", ("auto", "threads", "processes")
NONE_GIVEN: Mapping[bytes, Failure] = {}

Prepared = tuple[list[Unit], Sequence[Any]]
Batch = tuple[list[Unit], Sequence[Any], Sequence[Any]]  # units, what was prepared, what computed


@dataclass
class Filled:
    """What one run did.

    Attributes:
        computed: number of units with a row.
        failures: failures of the other units, by key.
        engine_seconds: time in the engine.
        starting_seconds: time until the worker processes gave their first batch.
        seconds: total time without `starting_seconds`.
        first_units: units in the engine's first batch, whose time includes a start-up.
        later_seconds: time from the end of the first batch to the end of the last.
    """

    computed: int = 0
    failures: dict[bytes, Failure] = field(default_factory=dict)
    engine_seconds: float = 0.0
    starting_seconds: float = 0.0
    seconds: float = 0.0
    first_units: int = 0
    later_seconds: float = 0.0

    def notes(self) -> dict[str, float]:
        """Return what the run log keeps."""
        return {
            "engine_seconds": round(self.engine_seconds, 3),
            "fill_seconds": round(self.seconds, 3),
            "starting_seconds": round(self.starting_seconds, 3),
            "first_units": self.first_units,
            "later_seconds": round(self.later_seconds, 3),
        }


def fill(
    store: Store, stage: Stage, plan: Plan, given: Mapping[bytes, Failure] = NONE_GIVEN
) -> Filled:
    """Compute and publish what `store` lacks; load the engine only if it lacks something.

    Args:
        store: where results go.
        stage: the stage.
        plan: what is missing; results of other processes are dropped from it.
        given: failures of other processes, by key; they count, and the result has them too.

    Raises:
        TooManyError: more units failed than the stage allows.
        UserError: the store cannot be written.
    """
    failed = plan.unusable + Counter(failure.reason for failure in given.values())
    allowed = stage.max_failed * plan.rows - failed.total()
    if allowed < 0:
        forget_passed_on(store.folder)  # so that the next run tries them again
        left = f"{plan.rows - failed.total():,} are left"
        raise TooManyError(too_many(stage, failed, left), {**given})
    filled = Filled()
    if len(plan.missing):
        stage.load()
        _compute(store, stage, plan, allowed, filled)
        store.recheck()
        store.compact()
    filled.failures |= given
    return filled


def _compute(store: Store, stage: Stage, plan: Plan, allowed: float, filled: Filled) -> None:
    """Compute batch by batch; note in `filled` what was done, and stop above `allowed` failures.

    Before each block of units, this looks at what other processes have published meanwhile, and
    does not compute it. If an interrupt ends the stage, finished batches are published.
    """
    size = stage.batch_size()  # a GPU searches for it; that time does not count as filling
    elsewhere = _in_processes(stage, len(plan.missing) // size)
    todo = missing_batches(store, stage, plan.missing, size, plan.units, plan.start)
    columns = stored_columns(stage.schema(None), plan.columns)
    began = time.perf_counter()
    gc.freeze()  # engine and libraries are no garbage; searching them takes long
    try:
        # The writer finishes all that it was given before the publisher ends.
        with (
            Publisher(store, columns) as publisher,
            ThreadPoolExecutor(1, "write", step_back) as writer,
            closing(
                by_workers(store.folder, stage, todo, publisher)
                if stage.in_processes and elsewhere
                else _by_engine(stage, todo, elsewhere, publisher, writer, filled)
            ) as outcomes,
        ):
            for key, failure in progress(outcomes, stage.name, "units", len(plan.missing)):
                if failure is None:
                    filled.computed += 1
                    continue
                filled.failures[key] = failure
                if len(filled.failures) > allowed:
                    reasons = Counter(failure.reason for failure in filled.failures.values())
                    text = too_many(stage, reasons, f"{filled.computed:,} succeeded so far")
                    raise TooManyError(text, filled.failures)
    finally:
        gc.unfreeze()
        stage.close()
    filled.seconds = time.perf_counter() - began - filled.starting_seconds


def _in_processes(stage: Stage, count: int) -> bool:
    """True if worker processes should prepare `count` batches.

    Raises:
        UserError: `C2VL_PREPARE` has an unknown value.
    """
    way = os.environ.get(PREPARE) or WAYS[0]
    if way not in WAYS:
        raise UserError(
            f"The environment variable {PREPARE} must be one of {', '.join(WAYS)}, not '{way}'."
        )
    return way == "processes" or (way == "auto" and (stage.in_processes or count >= LONG))


def _by_engine(
    stage: Stage,
    todo: Iterator[list[Unit]],
    elsewhere: bool,
    publisher: Publisher,
    writer: Executor,
    filled: Filled,
) -> Generator[Outcome, None, None]:
    """Yield each unit's outcome once it is published.

    If the stage overrides `complete`, the thread `writer` completes and publishes a batch while
    the engine computes the next. Otherwise a batch is published before the next one starts, so a
    kill costs one batch of the engine, not two.
    """
    completes = type(stage).complete is not Stage.complete
    waiting: deque[Future[list[Outcome]]] = deque()
    with closing(
        _computed(stage, prepared_batches(stage, todo, elsewhere, filled), filled)
    ) as computed:
        for batch in computed:
            if not completes:
                yield from _publish(stage, publisher, batch)
                continue
            waiting.append(writer.submit(_publish, stage, publisher, batch))
            if len(waiting) > MOST_BEHIND:
                yield from waiting.popleft().result()
    for last in waiting:
        yield from last.result()


def prepared_batches(
    stage: Stage, todo: Iterator[list[Unit]], elsewhere: bool, filled: Filled
) -> Generator[Prepared, None, None]:
    """Yield batches with their prepared items; if processes fail, threads continue."""
    prepare = partial(prepared_batch, stage.preparer())
    while elsewhere:
        began = time.perf_counter()
        try:
            with closing(in_processes(prepare, todo, min(workers_each(), MOST_PROCESSES))) as ready:
                for batch in ready:
                    filled.starting_seconds = filled.starting_seconds or time.perf_counter() - began
                    yield batch
            return
        except WorkersEndedError as error:
            if error.crashed:
                log.warning(f"{stage.name}: {CRASHED}")
                with closing(try_singly(prepare, [*chain(*error.items)])) as tried:
                    for units in error.items:
                        results = [result for _, result in islice(tried, len(units))]
                        yield (
                            units,
                            [one if isinstance(one, Failure) else one[0] for one in results],
                        )
                continue
            elsewhere, todo = False, chain(error.items, todo)
            why = f"no process can prepare ({error})"
            if error.died:
                why = "a process that prepares ended, perhaps for lack of memory"
            if error.sent or os.environ.get(PREPARE):  # an engine that cannot be sent uses threads
                log.info(f"{stage.name}: {why}; threads go on, which is a little slower")
    threads = min(workers_each(), stage.most_threads)
    with closing(in_threads(prepare, todo, threads, min(workers_each(), MOST_AHEAD))) as ready:
        yield from ready


def prepared_batch(
    prepare: Callable[[list[Any]], Sequence[Any]], units: Sequence[Unit]
) -> Sequence[Any]:
    """Prepare a batch, here or in a worker process; an item that raises becomes a failure."""
    return each(prepare, [unit.payload for unit in units])


def _computed(
    stage: Stage, prepared: Generator[Prepared, None, None], filled: Filled
) -> Generator[Batch, None, None]:
    """Yield batches after the engine has computed them."""
    first = 0.0
    with closing(prepared):
        for batch, ready in prepared:
            began = time.perf_counter()
            computed = _of_good(stage.compute, ready, batch, ready)
            ended = time.perf_counter()
            filled.engine_seconds += ended - began
            if not filled.first_units:
                filled.first_units, first = len(batch), ended
            filled.later_seconds = ended - first
            yield batch, ready, computed


def _publish(stage: Stage, publisher: Publisher, batch: Batch) -> list[Outcome]:
    """Complete a batch's rows and publish them."""
    units, ready, computed = batch
    rows = _of_good(stage.complete, computed, units, ready, computed)
    return publisher.add([unit.key for unit in units], rows)


def _of_good(
    function: Callable[..., Sequence[Any]], items: Sequence[Any], *columns: Sequence[Any]
) -> list[Any]:
    """`function` of the columns' rows where `items` holds no failure; the failure elsewhere."""
    good = [position for position, item in enumerate(items) if not isinstance(item, Failure)]
    chosen = [[column[position] for position in good] for column in columns]
    outcomes = list(items)
    for position, outcome in zip(good, each(function, *chosen) if good else [], strict=True):
        outcomes[position] = outcome
    return outcomes
