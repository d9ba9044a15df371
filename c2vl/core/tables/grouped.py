"""Rows of a table, grouped by shard; Arrow columns need a tenth of the memory of dictionaries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from c2vl.core.tables.build import rows_of
from c2vl.core.tables.shard import shard_of

SAMPLE = "sample"


class Grouped:
    """Groups the rows of a table by shard; iterating yields the names of the shards.

    Args:
        table: a table with a column `sample`; its rows are sorted by shard and sample.

    Raises:
        ValueError: a value of `sample` is not a sample id.
    """

    def __init__(self, table: pa.Table) -> None:
        names = table.column(SAMPLE).to_pylist()
        order = sorted((shard_of(name), name, position) for position, name in enumerate(names))
        positions = pa.array([position for *_, position in order], pa.int64())  # perhaps none
        self._table = table.take(positions).combine_chunks()
        self._begins: dict[str, int] = {}
        for position, (shard, *_) in enumerate(order):
            self._begins.setdefault(shard, position)

    def __iter__(self) -> Iterator[str]:
        return iter(self._begins)

    def rows(self, shard: str) -> list[dict[str, Any]]:
        """The rows of one shard, as `rows_of` returns them."""
        begins = [*self._begins.values(), len(self._table)]
        at = [*self._begins].index(shard)
        return rows_of(self._table.slice(begins[at], begins[at + 1] - begins[at]))
