"""Reads and writes Parquet; equal content gives equal bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from c2vl.core.errors import UserError
from c2vl.core.files import published

# Rows in a row group of a table of numbers and names; of joints or JPEG crops (tens of MB).
LIGHT_ROWS, HEAVY_ROWS = 65_536, 256
ZSTD_LEVEL = 3
FLOATS = (pa.types.is_float16, pa.types.is_float32, pa.types.is_float64)
# Half precision is not split: DuckDB cannot read that, and it would save the least.
SPLIT = FLOATS[1:]


def write(path: Path, table: pa.Table) -> None:
    """Write `table` to `path`, atomically and reproducibly.

    The bytes depend only on the rows, the schema and the version of pyarrow. Chunks are joined,
    and metadata of the producer (such as pandas) is dropped. No time and no path is written.
    Descriptions of fields stay. Pages carry checksums, which `read` verifies.
    """
    with writing(path, table.schema) as add:
        add(table)


@contextlib.contextmanager
def writing(path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """Write a table in pieces, with the same bytes as `write` gives for all of it at once.

    Yields a function that adds a piece. Every piece but the last needs a multiple of
    `group_rows(schema)` rows; add at least one piece, even an empty one.
    """
    schema = schema.remove_metadata()
    split, others = _leaves(schema, SPLIT)[0], _leaves(schema, FLOATS)[1]
    with (
        published(Path(path)) as temporary,
        pq.ParquetWriter(
            temporary,
            schema,
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            use_dictionary=others,
            # Bytes of floats compress a third better when equal positions lie together.
            column_encoding=dict.fromkeys(split, "BYTE_STREAM_SPLIT") or None,
            version="2.6",
            data_page_version="1.0",
            write_statistics=others,
            write_page_checksum=True,
        ) as writer,
    ):
        yield lambda piece: writer.write_table(
            piece.combine_chunks().replace_schema_metadata(None), group_rows(schema)
        )


def group_rows(schema: pa.Schema) -> int:
    """Number of rows in a row group of a table with this schema."""
    return LIGHT_ROWS if _is_light(schema) else HEAVY_ROWS


def read(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the table at `path`: one Parquet file, or all shards of a folder sorted by name.

    Args:
        path: a file, or a folder of `*.parquet`.
        columns: names of the columns to read; others are not decoded.

    Raises:
        UserError: there is no table, a file is not readable Parquet, or a column is missing.
    """
    return pa.concat_tables([table for _, table in shards(path, columns)])


def shards(path: Path, columns: Sequence[str] | None = None) -> Iterator[tuple[str, pa.Table]]:
    """Yield (shard name without suffix, table) one at a time, so that memory stays small.

    Raises:
        UserError: as `read`.
    """
    for shard in shard_paths(path):
        yield shard.stem, _read_file(shard, columns)


def shard_paths(path: Path) -> list[Path]:
    """The Parquet files at `path`: itself, or those of the folder, sorted by name.

    Raises:
        UserError: there is no table.
    """
    path = Path(path)
    found = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not found or not found[0].is_file():
        raise UserError(
            f"{path} holds no table; run `dvc repro` to write it or `dvc pull` to fetch it."
        )
    return found


def _read_file(path: Path, columns: Sequence[str] | None) -> pa.Table:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            absent = sorted(set(columns or ()) - set(file.schema_arrow.names))
            if absent:
                raise UserError(
                    f"{path} has no column `{absent[0]}`; another version wrote it. "
                    "Run `dvc repro` to write it again."
                )
            return file.read(columns=None if columns is None else list(columns))
    except (pa.ArrowException, OSError) as error:
        where = " ".join(str(error).split())[:120]
        raise UserError(
            f"{path} is not a readable Parquet file ({where}); `c2vl doctor --deep` says which "
            "files are damaged and how to repair them."
        ) from None


def _is_light(schema: pa.Schema) -> bool:
    return not any(
        pa.types.is_nested(field.type) or pa.types.is_binary(field.type) for field in schema
    )


def _leaves(
    schema: pa.Schema, kinds: Sequence[Callable[[pa.DataType], bool]]
) -> tuple[list[str], list[str]]:
    """Parquet paths of the leaf columns: (those of one of `kinds`, the others)."""
    found: list[str] = []
    others: list[str] = []
    for field in schema:
        name, kind = field.name, field.type
        while (
            pa.types.is_list(kind)
            or pa.types.is_large_list(kind)
            or pa.types.is_fixed_size_list(kind)
        ):
            name, kind = f"{name}.list.element", kind.value_type
        (found if any(is_one(kind) for is_one in kinds) else others).append(name)
    return found, others
