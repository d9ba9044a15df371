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
INHERITED = "inherited"  # a column while it is planned

Row = Mapping[str, Any]  # the columns that a computation fills in; `reason` may be among them


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a unit has no result: a row of the output table, never one of the store.

    Attributes:
        status: a short word.
        reason: a sentence.
        inherited: an earlier stage failed, not this one; does not count against `max_failed`.
    """

    status: str
    reason: str
    inherited: bool = False


@dataclass(frozen=True, slots=True)
class Unit:
    """One row of the output table.

    Attributes:
        identity: the columns known beforehand (`sample`, `k`, …).
        key: content key; None where there is nothing to compute.
        payload: what the stage's `preparer` takes; small, or read when it is needed.
        failure: why there is nothing to compute; only where `key` is None.
    """

    identity: Mapping[str, Any]
    key: bytes | None
    payload: Any = None
    failure: Failure | None = None


class Stage(ABC):
    """A stage: subclass it, and hand an object to `c2vl.store.run.run`.

    A unit passes through `preparer` (ahead of the engine, in threads or worker processes),
    `compute` (the engine, in the main thread) and `complete` (while the engine goes on).

    Attributes:
        name: of the stage, such as `crop`; also of its folder in the store.
        done: what its summary calls a computed unit, such as `cropped`.
        max_failed: share of failed units above which the stage fails.
        may_be_empty: whether it may run where an earlier stage failed on every row.
        most_threads: how many threads may prepare at once.
        in_processes: worker processes do whole batches, because preparing is all there is to do
            and holds Python's lock: what `preparer` returns are rows.
    """

    name: str
    done: str
    max_failed: float
    may_be_empty: bool = False
    most_threads: int = 8
    in_processes: bool = False

    @abstractmethod
    def description(self) -> dict[str, Any]:
        """Everything besides a unit's content that changes its row; without loading a model."""

    @abstractmethod
    def schema(self, stored: pa.Schema | None) -> pa.Schema:
        """Schema of the output table; `stored` is that of rows in the store, if there are any."""

    @abstractmethod
    def shards(self) -> Iterable[str]:
        """Names of the output's shards, sorted."""

    @abstractmethod
    def units(self, shard: str, fingerprint: str) -> Sequence[Unit]:
        """All units of a shard in the order of its rows (sample, then k)."""

    @abstractmethod
    def batch_size(self) -> int:
        """Units to compute at once on this machine."""

    def load(self) -> None:
        """Load the engine; called once, and only if something is missing."""
        return

    def preparer(self) -> Callable[[list[Any]], Sequence[Any]]:
        """Return a function from payloads to one prepared item or `Failure` each.

        Threads call it. Worker processes do in a long run, if it can be pickled, which must not
        pickle an engine.
        """
        return list

    def compute(self, units: Sequence[Unit], ready: Sequence[Any]) -> Sequence[Row | Failure]:
        """Run the engine on prepared items: a row, or what `complete` takes, or `Failure` each."""
        return ready

    def complete(
        self, units: Sequence[Unit], ready: Sequence[Any], computed: Sequence[Any]
    ) -> Sequence[Row | Failure]:
        """Make rows of what `compute` returned. One that is overridden runs in another thread."""
        return computed

    def close(self) -> None:
        """Stop what the engine does by itself: nothing more will be computed."""
        return

    def finish(self, table: pa.Table) -> pa.Table:
        """Return a shard's table, or a part of it, as it is written.

        Must give the same for one that was finished in another way: it may have seeded the store.
        """
        return table

    def observe(self, table: pa.Table) -> None:
        """Take note of a finished table for `metrics`."""
        return

    def metrics(self) -> dict[str, Any]:
        """Return what the finished tables say, of deterministic things only."""
        return {}

    def step_caches(self) -> Sequence[StepCache]:
        """Return what the stage keeps in the store besides its own rows."""
        return ()


def each(function: Callable[..., Sequence[Any]], *columns: Sequence[Any]) -> Sequence[Any]:
    """Call `function` on whole columns; if that raises, on each row, so that one spoils no other.

    Raises:
        UserError: `function` did, or the GPU is lost, which is no fault of the rows.
    """
    try:
        return function(*columns)
    except UserError:
        raise
    except Exception as error:
        if lost := lost_device():
            raise UserError(
                f"The GPU answers no more ({lost}); what was finished is kept: run again, on "
                "another device (C2VL_DEVICE) if that does not help."
            ) from error
        if len(columns[0]) > 1:
            rows = zip(*columns, strict=True)
            return [one for row in rows for one in each(function, *([item] for item in row))]
        reason = " ".join(str(error).split())[:200]
        return [Failure("error", f"{type(error).__name__}: {reason}")]
