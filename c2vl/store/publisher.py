"""Rows on their way into the store: published after a second or 32 MB, small segments merged as they pile up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

import pyarrow as pa

from c2vl.store.segments import KEY
from c2vl.store.store import Store
from c2vl.store.work import Row
from c2vl.tables import table_of

FLUSH_SECONDS = 1.0  # what a power cut may cost, besides the batch in flight
FLUSH_BYTES = 32 * 2**20
MERGE_AFTER = 128  # segments of a second each; merged, 1.8 million calls leave some thousand files


class Publisher:
    """Collects batches and publishes them; on leaving, also after an interrupt, what is left.

    A batch is published whole, never split over two segments: after a crash the missing units are whole batches
    again, so that the engine sees them in the same company and gives the same bits.
    """

    def __init__(self, store: Store, schema: pa.Schema) -> None:
        self._store, self._schema = store, schema.append(KEY)
        self._waiting: list[pa.Table] = []
        self._published: list[str] = []
        self._since = time.monotonic()

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.flush()

    def add(self, keys: Sequence[bytes], rows: Sequence[Row]) -> None:
        """Take the rows of one batch.

        Raises:
            UserError: the store cannot be written.
        """
        if rows:
            self._waiting.append(table_of([{**row, "key": key} for key, row in zip(keys, rows, strict=True)], self._schema))
        waited = time.monotonic() - self._since
        if waited >= FLUSH_SECONDS or sum(table.nbytes for table in self._waiting) >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Publish what waits.

        Raises:
            UserError: the store cannot be written.
        """
        self._since = time.monotonic()
        if not self._waiting:
            return
        self._published.append(self._store.publish(pa.concat_tables(self._waiting)))
        self._waiting = []
        if len(self._published) >= MERGE_AFTER:
            self._store.merge(self._published)
            self._published = []
