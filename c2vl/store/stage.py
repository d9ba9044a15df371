"""The base class of a stage whose samples the store keeps: its units and how to compute them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from c2vl.core.errors import UserError
from c2vl.core.machine import lost_device
from c2vl.core.tables.schemas import OUTCOME

if TYPE_CHECKING:
    from c2vl.store.publish import StepCache

STATUS, REASON = (field.name for field in OUTCOME)  # columns of the output table
INHERITED = "inherited"  # a column of the plan only

Row = Mapping[str, Any]  # the columns that a computation fills in; `reason` may be among them


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a unit has no result: a row of the output table, never one of the store.

    Attributes:
        status: a short word.
        reason: a sentence.
        inherited: an earlier stage failed, not this one; it does not count for `max_failed`.
    """

    status: str
    reason: str
    inherited: bool = False


@dataclass(frozen=True, slots=True)
class Unit:
    """One row of the output table.

    Attributes:
        identity: the columns known before the run (`sample`, `k`, …).
        key: content key; None if there is nothing to compute.
        payload: input of the stage's `preparer`; small, or read only when needed.
        failure: why there is nothing to compute; only if `key` is None.
    """

    identity: Mapping[str, Any]
    key: bytes | None
    payload: Any = None
    failure: Failure | None = None


class Stage(ABC):
    """Base class of a stage: subclass it, and pass an object to `c2vl.store.run.run`.

    A unit passes through `preparer` (ahead of the engine, in threads or worker processes),
    `compute` (the engine, in the main thread) and `complete` (while the engine goes on).

    Attributes:
        name: name of the stage and of its folder in the store, for example `crop`.
        done: word for a computed unit in the summary, for example `cropped`.
        max_failed: share of failed units above which the stage fails.
        may_be_empty: true if it may run although an earlier stage failed on every row.
        all_may_fail: true if it may write a table in which each of its rows failed.
        most_threads: largest number of threads that prepare at once.
        in_processes: true if worker processes compute whole batches: `preparer` then returns rows.
            For a stage whose work is all preparing and holds Python's lock.
    """

    name: str
    done: str
    max_failed: float
    may_be_empty: bool = False
    all_may_fail: bool = False
    most_threads: int = 8
    in_processes: bool = False

    @abstractmethod
    def description(self) -> dict[str, Any]:
        """Return everything but a unit's content that changes its row. Loads no model."""

    @abstractmethod
    def schema(self, stored: pa.Schema | None) -> pa.Schema:
        """Return the schema of the output table; `stored` is that of stored rows, if any."""

    @abstractmethod
    def shards(self) -> Iterable[str]:
        """Return the names of the output's shards, sorted."""

    @abstractmethod
    def units(self, shard: str, fingerprint: str) -> Sequence[Unit]:
        """Return all units of a shard in the order of its rows (sample, then k)."""

    @abstractmethod
    def batch_size(self) -> int:
        """Return how many units to compute at once on this machine."""

    def load(self) -> None:
        """Load the engine. Called once, and only if something is missing."""
        return

    def preparer(self) -> Callable[[list[Any]], Sequence[Any]]:
        """Return a function from payloads to one prepared item or `Failure` each.

        Threads call it; in a long run, worker processes do, if it can be pickled. It must not hold
        the engine.
        """
        return list

    def compute(self, units: Sequence[Unit], ready: Sequence[Any]) -> Sequence[Row | Failure]:
        """Run the engine; return for each item a row, an input of `complete`, or a `Failure`."""
        return ready

    def complete(
        self, units: Sequence[Unit], ready: Sequence[Any], computed: Sequence[Any]
    ) -> Sequence[Row | Failure]:
        """Turn the results of `compute` into rows. An override runs in another thread."""
        return computed

    def close(self) -> None:
        """Stop the engine's own threads and processes: nothing more will be computed."""
        return

    def finish(self, table: pa.Table) -> pa.Table:
        """Return a shard's table, or a part of it, as it is written to the output.

        Applied to an already finished table it must give the same: outputs may seed the store.
        """
        return table

    def observe(self, table: pa.Table) -> None:
        """Look at a finished table, for `metrics`."""
        return

    def metrics(self) -> dict[str, Any]:
        """Return numbers about the finished tables; only deterministic ones."""
        return {}

    def step_caches(self) -> Sequence[StepCache]:
        """Return the caches of steps that the stage keeps in the store besides its rows."""
        return ()


def each(function: Callable[..., Sequence[Any]], *columns: Sequence[Any]) -> Sequence[Any]:
    """Call `function` on all rows; if that raises, on each row alone, so only bad rows fail.

    Raises:
        UserError: `function` raised it, or the GPU is lost.
    """
    try:
        return function(*columns)
    except UserError:
        raise
    except Exception as error:
        if lost := lost_device():
            raise UserError(
                f"The GPU does not respond ({lost}). Run again; finished batches are kept. If it "
                "happens again, choose another device with C2VL_DEVICE."
            ) from error
        if len(columns[0]) > 1:
            rows = zip(*columns, strict=True)
            return [one for row in rows for one in each(function, *([item] for item in row))]
        reason = " ".join(str(error).split())[:200]
        return [Failure("error", f"{type(error).__name__}: {reason}")]
