"""What a stage tells the store: its units of work, and how to compute them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

Row = Mapping[str, Any]  # the columns that a computation fills in; `reason` may be among them


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a unit has no result. It becomes a row of the out, never one of the store.

    Attributes:
        status: a short word.
        reason: a sentence.
        inherited: an earlier stage failed, not this one; not counted against `max_failed`.
    """

    status: str
    reason: str
    inherited: bool = False


@dataclass(frozen=True, slots=True)
class Unit:
    """One row of the out.

    Attributes:
        identity: the columns known beforehand (`sample`, `k`, …).
        key: content key, or None when there is nothing to compute.
        payload: what `Work.prepare` needs; light, or read lazily.
        failure: why there is nothing to compute (only with `key` None).
    """

    identity: Mapping[str, Any]
    key: bytes | None
    payload: Any = None
    failure: Failure | None = None


class Work(Protocol):
    """A stage, as the runner sees it. One with a true attribute `may_be_empty` goes on where every row failed upstream."""

    stage: str  # name, such as `crop`
    done: str  # what its summary calls a computed unit, such as `cropped`
    max_failed: float  # share of failed units above which the stage fails

    def description(self) -> dict[str, Any]:
        """Everything besides a unit's own bytes that changes its row; without loading a model."""

    def schema(self, stored: pa.Schema | None) -> pa.Schema:
        """Schema of the out; `stored` is that of the store's rows, where there are any."""

    def shards(self) -> Iterable[str]:
        """Names of the out's shards, sorted."""

    def units(self, shard: str, fingerprint: str) -> Sequence[Unit]:
        """All units of a shard in the order of its rows (sample, then k)."""

    def load(self) -> None:
        """Load the engine; called once, and only if something is missing."""

    def batch_size(self) -> int:
        """Units to compute at once on this machine."""

    def pool(self) -> Executor:
        """A new pool for `prepare`: threads, or processes where the work holds the interpreter.

        Processes do all there is to do: what `prepare` gives are rows, and `compute` is not asked.
        """

    def prepare(self, units: Sequence[Unit]) -> list[Any]:
        """Read and decode, ahead of the engine: one prepared item or `Failure` a unit."""

    def compute(self, units: Sequence[Unit], ready: Sequence[Any]) -> list[Row | Failure]:
        """Run the engine on prepared items: one row or `Failure` a unit (see `Completing`)."""

    def observe(self, table: pa.Table) -> None:
        """Take note of a sealed shard for `metrics`."""

    def metrics(self) -> dict[str, Any]:
        """What the sealed shards say, of deterministic things only."""


@runtime_checkable
class Portable(Protocol):
    """A stage that other processes can prepare: they hold nothing of it but what `preparer` gives, and see no units."""

    def preparer(self) -> Callable[..., list[Any]] | None:
        """What makes prepared items of `columns`, to be pickled; None where only this process can."""

    def columns(self, units: Sequence[Unit]) -> tuple[Sequence[Any], ...]:
        """What it is called with for these units: columns with an item a unit, to be pickled."""


@runtime_checkable
class Completing(Protocol):
    """A stage that makes its rows of what `compute` returns, and needs no engine for it: done in another thread meanwhile."""

    def completed(
        self, units: Sequence[Unit], ready: Sequence[Any], computed: Sequence[Any]
    ) -> list[Row | Failure]:
        """Rows of a batch that was computed; called for one batch at a time, in order."""


@runtime_checkable
class PortableCompleting(Completing, Protocol):
    """A `Completing` stage that the processes which prepare can complete, too."""

    def completer(self) -> Callable[..., list[Any]]:
        """What makes rows of prepared items and the columns of `to_complete`, to be pickled."""

    def to_complete(
        self, units: Sequence[Unit], computed: Sequence[Any]
    ) -> tuple[Sequence[Any], ...]:
        """What it is called with for these units, after the prepared items: columns with an item a unit, to be pickled."""


@runtime_checkable
class Closing(Protocol):
    """A stage whose engine goes on by itself, as a server that was asked ahead does, until it is told."""

    def close(self) -> None:
        """Nothing more will be computed: all is done, or something ended the run."""


@runtime_checkable
class Finishing(Protocol):
    """A stage that puts a last touch to its shards when they are sealed, one that does not deserve a result of its own."""

    def finished(self, table: pa.Table) -> pa.Table:
        """The shard as it is written.

        Must give the same table for a shard that was finished in another way before: the store may have been seeded with it.
        """
