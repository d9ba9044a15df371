"""Parquet tables: reproducible writing, shards, and the schema of every stage's output."""

from c2vl.core.tables import schemas
from c2vl.core.tables.build import rows_of, table_of
from c2vl.core.tables.grouped import Grouped
from c2vl.core.tables.parquet import group_rows, read, shard_paths, shards, write, writing
from c2vl.core.tables.shard import by_shard, shard_of
from c2vl.core.tables.vectors import numbers, vector_column, vectors

__all__ = [
    "Grouped",
    "by_shard",
    "group_rows",
    "numbers",
    "read",
    "rows_of",
    "schemas",
    "shard_of",
    "shard_paths",
    "shards",
    "table_of",
    "vector_column",
    "vectors",
    "write",
    "writing",
]
