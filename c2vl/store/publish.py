"""Publish batches: each becomes a file at once, and is made durable and merged later."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from c2vl.core import machine
from c2vl.core.disk_errors import explained
from c2vl.core.tables import rows_of, table_of
from c2vl.store.keys import KEY, as_keys, content_key, fingerprint_of
from c2vl.store.segments import Written, write_segment
from c2vl.store.stage import REASON, Failure, Row, Unit, each
from c2vl.store.store import SMALL_BYTES, Store

FLUSH_SECONDS = 1.0  # a power cut costs this, besides the batch in work
FLUSH_BYTES = 32 * 2**20
HELD_BYTES = 4 * 2**20  # rows up to this size stay in memory; others are read back
LARGE_BYTES = 2**20  # a batch this large is made durable at once; merging costs more
MERGE_AFTER = 128  # segments; without, 1.8 million units would leave thousands of files


Outcome = tuple[bytes, Failure | None]  # key; None: it has a row


def stored_columns(schema: pa.Schema, known: Iterable[str]) -> pa.Schema:
    """Return the columns of the table that are computed, and so are kept in the store.

    Args:
        schema: schema of the table.
        known: columns known before the run; a computed row may still give a reason.
    """
    beforehand = {*known} - {REASON}
    return pa.schema([field for field in schema if field.name not in beforehand])


class Publisher:
    """Publishes batches. When its block ends, also by an interrupt, it makes them durable.

    A batch becomes a file as soon as it is computed, so SIGKILL costs no finished batch. Only a
    large batch waits for the disk. Once a second, small batches are merged into a durable segment.

    A batch is never split over two segments. So after a crash, whole batches are missing, the
    engine gets the same batches again, and it gives the same bits.

    Args:
        store: where batches go.
        schema: schema of a row without its key.
    """

    def __init__(self, store: Store, schema: pa.Schema) -> None:
        self._store, self.schema = store, schema.append(KEY)
        self._waiting: dict[str, pa.Table | None] = {}  # not durable yet; None: not in memory
        self._waiting_bytes = 0
        self._small: list[str] = []  # durable, to be merged
        self._since = time.monotonic()

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flush()

    def add(self, keys: Sequence[bytes | None], rows: Sequence[Row | Failure]) -> list[Outcome]:
        """Publish one batch without its failures; return each unit's outcome.

        Raises:
            UserError: the store cannot be written.
        """
        self.add_table(rows_with_keys(keys, rows, self.schema))
        return outcomes(keys, rows)

    def add_table(self, batch: pa.Table) -> None:
        """Publish one batch as a table of `schema`.

        Raises:
            UserError: the store cannot be written.
        """
        if len(batch):
            large = batch.nbytes >= LARGE_BYTES
            self._published(self._store.publish(batch, durable=large), batch.nbytes, large, batch)
        self._flush_in_time()

    def add_done(self, rows: pa.Table | Written) -> None:
        """Publish what `done_in_worker` returned.

        Raises:
            UserError: the store cannot be written.
        """
        if isinstance(rows, Written):
            self.add_written(rows)
        else:
            self.add_table(rows)

    def add_written(self, segment: Written) -> None:
        """Add a segment that a worker process has written.

        Raises:
            UserError: the store cannot be written.
        """
        self._store.note(segment.name, segment.keys)
        self._published(segment.name, segment.size, segment.durable)
        self._flush_in_time()

    def _published(self, name: str, size: int, durable: bool, rows: pa.Table | None = None) -> None:
        if durable:
            self._now_durable([name], size)
        else:
            self._waiting_bytes += size
            self._waiting[name] = rows if self._waiting_bytes <= HELD_BYTES else None

    def _flush_in_time(self) -> None:
        waited = time.monotonic() - self._since
        if waited >= FLUSH_SECONDS or self._waiting_bytes >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Make durable what was published.

        Raises:
            UserError: the store cannot be written.
        """
        self._since = time.monotonic()
        if not self._waiting:
            return
        names, size = [*self._waiting], self._waiting_bytes
        held = {name: rows for name, rows in self._waiting.items() if rows is not None}
        if len(names) > 1:
            names = self._store.merge(names, held)
        else:
            self._store.make_durable(names[0])
        self._waiting, self._waiting_bytes = {}, 0
        self._now_durable(names, size)

    def _now_durable(self, names: list[str], size: int) -> None:
        if size < SMALL_BYTES:
            self._small += names
        if len(self._small) >= MERGE_AFTER:
            self._store.merge(self._small)
            self._small = []


def outcomes(
    keys: Sequence[bytes | None], results: Sequence[Row | Failure | None]
) -> list[Outcome]:
    """Return for each key whether it has a row, and otherwise its failure."""
    return [
        (key or b"", result if isinstance(result, Failure) else None)
        for key, result in zip(keys, results, strict=True)
    ]


def rows_with_keys(
    keys: Sequence[bytes | None], rows: Sequence[Row | Failure], schema: pa.Schema
) -> pa.Table:
    """Return the rows that did not fail, each with its key, as a table of `schema`."""
    pairs = zip(keys, rows, strict=True)
    good = [{**row, KEY.name: key} for key, row in pairs if not isinstance(row, Failure)]
    return table_of(good, schema)


def done_in_worker(
    prepare: Callable[[list[Any]], Sequence[Any]],
    folder: Path,
    schema: pa.Schema,
    units: Sequence[Unit],
) -> tuple[list[Failure | None], pa.Table | Written]:
    """Compute a batch in a worker process; write its rows to the store if they are large.

    Args:
        prepare: returns a row or a failure for each payload.
        folder: folder of the store.
        schema: schema of a segment.
        units: the batch.

    Returns:
        For each unit its failure, or None if it has a row; and the rows, or their segment.

    Raises:
        UserError: the store cannot be written.
    """
    outcomes = each(prepare, [unit.payload for unit in units])
    rows = rows_with_keys([unit.key for unit in units], outcomes, schema)
    failures = [one if isinstance(one, Failure) else None for one in outcomes]
    if rows.nbytes < LARGE_BYTES:  # the parent joins small batches into larger segments
        return failures, rows
    with explained(folder):
        name = write_segment(folder, rows)
    return failures, Written(name, as_keys(rows.column(KEY.name)), rows.nbytes, durable=True)


class StepCache:
    """Keeps the results of a costly step inside a stage, in a folder of its own in the store.

    The step has its own fingerprint, so what follows it may change without repeating the step.

    Args:
        step: name of the folder.
        description: everything that changes the step's results, except the bytes it reads.
        schema: schema of a result.
    """

    def __init__(self, step: str, description: Mapping[str, Any], schema: pa.Schema) -> None:
        self.step, self.schema = step, schema
        self.description = {**description, "columns": schema.names}
        self.fingerprint = fingerprint_of(self.description)

    @cached_property
    def _before(self) -> Store:
        """The store as it was at the first lookup, without this run's own results."""
        return self._open(look=True)  # `c2vl why` looks here too

    @cached_property
    def _publisher(self) -> Publisher:
        store = self._open(look=False)
        store.compact()
        return Publisher(store, self.schema)

    def _open(self, look: bool) -> Store:
        root = machine.store_dir()
        return Store(root, self.step, self.fingerprint, self.description, look=look)

    def key(self, *parts: bytes | str | int) -> bytes:
        """Return the key of the step's result for `parts`."""
        return content_key(self.fingerprint, *parts)

    def missing(self, keys: Sequence[bytes]) -> np.ndarray:
        """Return which of `keys` have no result, (N,) bool."""
        return self._before.missing(keys)

    def get(self, keys: Sequence[bytes]) -> list[dict[str, Any]]:
        """Return the results of `keys`, in their order.

        Raises:
            KeyError: one has none.
        """
        return rows_of(self._before.rows(keys)) if keys else []

    def add(self, keys: Sequence[bytes], rows: Sequence[Row]) -> None:
        """Store computed rows.

        Raises:
            UserError: the store cannot be written.
        """
        self._publisher.add(keys, rows)
