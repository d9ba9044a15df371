"""Rows on their way into the store: each batch is published as it ends, made durable and merged as they pile up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

import pyarrow as pa

from c2vl.core.tables import table_of
from c2vl.store.segments import KEY, Written
from c2vl.store.store import SMALL_BYTES, Store
from c2vl.store.work import Row

FLUSH_SECONDS = 1.0  # what a power cut may cost, besides the batch in flight
FLUSH_BYTES = 32 * 2**20
HELD_BYTES = 4 * 2**20  # of them that stay in memory until then; others are read back
LARGE_BYTES = 2**20  # a batch that is waited for at once: writing it twice would cost more
MERGE_AFTER = 128  # segments of a second each; merged, 1.8 million calls leave some thousand files


class Publisher:
    """Publishes batches; on leaving, also after an interrupt, makes them durable.

    A batch is a file of its own as soon as it is done, so that SIGKILL costs nothing that is finished. It is not waited
    for until it is on the disk, unless it is large: once a second the batches since then become one segment that is. So
    a stage with quick, small batches pays one fsync a second and leaves few files.

    A batch is published whole, never split over two segments: after a crash the missing units are whole batches
    again, so that the engine sees them in the same company and gives the same bits.
    """

    def __init__(self, store: Store, schema: pa.Schema) -> None:
        self._store, self.schema = store, schema.append(KEY)
        self._waiting: dict[
            str, pa.Table | None
        ] = {}  # published, not durable yet; None: not held in memory
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

    def add(self, keys: Sequence[bytes], rows: Sequence[Row]) -> None:
        """Publish the rows of one batch.

        Raises:
            UserError: the store cannot be written.
        """
        self.add_table(
            table_of(
                [{**row, KEY.name: key} for key, row in zip(keys, rows, strict=True)], self.schema
            )
        )

    def add_table(self, batch: pa.Table) -> None:
        """Publish one batch as a table of `schema`.

        Raises:
            UserError: the store cannot be written.
        """
        if len(batch):
            large = batch.nbytes >= LARGE_BYTES
            self._published(self._store.publish(batch, durable=large), batch.nbytes, large, batch)
        self._flush_in_time()

    def add_published(self, segment: Written) -> None:
        """Take in a segment that a worker process has written.

        Raises:
            UserError: the store cannot be written.
        """
        self._store.describe()
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
        """Make what was published durable.

        Raises:
            UserError: the store cannot be written.
        """
        self._since = time.monotonic()
        if self._waiting:
            held = {name: rows for name, rows in self._waiting.items() if rows is not None}
            names, size = self._store.make_one(list(self._waiting), held), self._waiting_bytes
            self._waiting, self._waiting_bytes = {}, 0
            self._now_durable(names, size)

    def _now_durable(self, names: list[str], size: int) -> None:
        if size < SMALL_BYTES:
            self._small += names
        if len(self._small) >= MERGE_AFTER:
            self._store.merge(self._small)
            self._small = []
