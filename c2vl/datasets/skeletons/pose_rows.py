"""Rows of the skeleton table that stage `pose` found in videos."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from c2vl.core import tables
from c2vl.core.tables.schemas import OK, SKELETON
from c2vl.store.keys import KEY
from c2vl.store.stage import Failure, Row

FOUND = [field.name for field in SKELETON if field.name not in ("sample", "status", "reason")]


@dataclass(frozen=True, slots=True)
class PoseRow:
    """A sample in a shard of `data/pose`; small, so that it passes to another process."""

    shard: Path
    sample: str

    def read(self) -> Row:
        """All columns that a stage computes."""
        table = _table(self.shard)
        at = table.column("sample").to_pylist().index(self.sample)
        (row,) = tables.rows_of(table.slice(at, 1).select(FOUND))
        return row


class PoseRows:
    """What stage `pose` did to the samples of a shard."""

    def __init__(self, shard: Path) -> None:
        self.shard = shard

    def outcome(self, sample: str) -> bytes | Failure | None:
        """The content key of a sample's row, or why it has none; None: the stage did not run."""
        return self._outcomes.get(sample)

    @cached_property
    def _outcomes(self) -> dict[str, bytes | Failure]:
        if not self.shard.is_file():
            return {}
        columns = ["sample", "status", "reason", KEY.name]
        rows = pq.read_table(self.shard, columns=columns).to_pylist()
        return {
            row["sample"]: row[KEY.name]
            if row["status"] == OK
            else Failure(row["status"], f"pose: {row['reason']}", inherited=True)
            for row in rows
        }


@lru_cache(maxsize=1)
def _table(shard: Path) -> pa.Table:
    return pq.read_table(shard)
