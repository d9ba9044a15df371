"""Segments: the store's files. An Arrow file of rows, named by the digest of its bytes, never changed once there.

The name is the checksum: a half-written or flipped segment does not hash to its name. Writing the same rows
twice gives the same file. Segments are read, never mapped: a mapped file that another machine removes from a
shared disk kills the process that maps it, a read one raises.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from c2vl.core.files import draft, put_in_place, write_bytes
from c2vl.store.keys import KEY_BYTES
from c2vl.store.pick import pick

SUFFIX = ".arrow"
KEY = pa.field("key", pa.binary(KEY_BYTES), nullable=False)
CHUNK_BYTES = 2**20  # what is read at least to get at one row


@dataclass(frozen=True)
class Written:
    """A segment: its name, its rows' keys `S16`, about how many bytes they are, and whether a power cut leaves it."""

    name: str
    keys: np.ndarray
    size: int
    durable: bool


def write_segment(folder: Path, rows: pa.Table, durable: bool = True) -> str:
    """Publish `rows` (with a column `key`) atomically in `folder`; return the segment's name.

    The bytes are those of `write_stream`. A segment of one chunk is made in memory: an engine waits for it.
    """
    if rows.nbytes > CHUNK_BYTES:
        return write_stream(folder, rows.schema, [rows], len(rows), rows.nbytes, durable)
    bare, sink = _bare(rows.schema), pa.BufferOutputStream()
    with pa.ipc.new_file(sink, bare) as writer:
        writer.write_table(rows.cast(bare).combine_chunks())
    content = sink.getvalue()
    name = hashlib.blake2b(content, digest_size=KEY_BYTES).hexdigest()
    write_bytes(folder / (name + SUFFIX), memoryview(content), durable)
    return name


def write_stream(
    folder: Path,
    schema: pa.Schema,
    parts: Iterable[pa.Table],
    rows: int,
    size: int,
    durable: bool = True,
) -> str:
    """Publish the rows of `parts` as one segment, a chunk in memory at a time; return its name.

    Args:
        folder: of the store.
        schema: of every part.
        parts: tables, read as they are needed.
        rows, size: how many rows and bytes there are in all, or nearly: what chunks are cut by.
        durable: wait until the disk has it.
    """
    bare = _bare(schema)
    with draft(folder, "segment") as temporary:
        with temporary.open("wb") as file:
            sink = Digesting(file)
            with pa.ipc.new_file(pa.PythonFile(sink, "w"), bare) as writer:
                for chunk in _chunks(parts, max(1, CHUNK_BYTES * rows // max(size, 1))):
                    writer.write_table(chunk.cast(bare))
        name = sink.digest.hexdigest()
        put_in_place(temporary, folder / (name + SUFFIX), durable)
    return name


def _bare(schema: pa.Schema) -> pa.Schema:
    """`schema` without descriptions, which may change where rows may not."""
    return pa.schema([field.remove_metadata() for field in schema])


class Digesting:
    """A file that digests what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest, self.closed = file, hashlib.blake2b(digest_size=KEY_BYTES), False

    def write(self, content: bytes) -> int:
        """Write and digest."""
        self.digest.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        """Nothing is kept here."""

    def close(self) -> None:
        """The file is its owner's to close."""
        self.closed = True


def _chunks(parts: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """The rows of `parts` in pieces of `size`, all but the last: `take_rows` counts on that."""
    waiting: list[pa.Table] = []
    rows = 0
    for part in parts:
        waiting.append(part)
        rows += len(part)
        if rows < size:
            continue
        table = pa.concat_tables(waiting)
        whole = rows - rows % size
        yield from (table.slice(at, size).combine_chunks() for at in range(0, whole, size))
        waiting, rows = [table.slice(whole)], rows - whole
    if rows:
        yield pa.concat_tables(waiting).combine_chunks()


def is_intact(folder: Path, name: str) -> bool:
    """Whether the bytes of segment `name` still hash to it.

    Raises:
        FileNotFoundError: it is not there (any more).
    """
    with (folder / (name + SUFFIX)).open("rb") as file:
        return (
            hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=KEY_BYTES)).hexdigest()
            == name
        )


def read_keys(folder: Path, name: str) -> np.ndarray:
    """Keys of the segment's rows, (N,) `S16`; the other columns are not read."""
    path = str(folder / (name + SUFFIX))
    with pa.OSFile(path) as source:
        position = pa.ipc.open_file(source).schema.get_field_index(KEY.name)
    with pa.OSFile(path) as source:
        only = pa.ipc.IpcReadOptions(included_fields=[position])
        reader = pa.ipc.open_file(source, options=only)
        # One by one: Arrow makes room for the columns that it does not read, too.
        chunks = (
            as_keys(reader.get_batch(number).column(0))
            for number in range(reader.num_record_batches)
        )
        return np.concatenate([key_array(()), *chunks])


def key_array(keys: Sequence[bytes] | np.ndarray) -> np.ndarray:
    """`keys` as (N,) `S16`."""
    return np.asarray(keys, f"S{KEY_BYTES}")


def as_keys(column: pa.Array) -> np.ndarray:
    """Copy a fixed-size binary column into (N,) `S16`."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return np.frombuffer(
        column.buffers()[1], f"S{KEY_BYTES}", len(column), column.offset * KEY_BYTES
    ).copy()


def take_rows(folder: Path, name: str, positions: np.ndarray | Sequence[int]) -> pa.Table:
    """Rows of the segment at `positions`; only the chunks that hold them are read."""
    wanted = np.asarray(positions, np.int64)
    with pa.OSFile(str(folder / (name + SUFFIX))) as source:
        reader = pa.ipc.open_file(source)
        if not reader.num_record_batches or not len(wanted):
            return reader.schema.empty_table()
        first = reader.get_batch(0)
        size = max(first.num_rows, 1)  # of every chunk but the last
        needed, chunk = np.unique(wanted // size, return_inverse=True)
        chunks = [first if number == 0 else reader.get_batch(int(number)) for number in needed]
        return pick(pa.Table.from_batches(chunks), chunk * size + wanted % size)


def read_chunks(folder: Path, name: str) -> Iterator[pa.Table]:
    """The segment's rows, chunk by chunk."""
    with pa.OSFile(str(folder / (name + SUFFIX))) as source:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            yield pa.Table.from_batches([reader.get_batch(number)])


def read_schema(folder: Path, name: str) -> pa.Schema:
    """Schema of the segment's rows."""
    with pa.OSFile(str(folder / (name + SUFFIX))) as source:
        return pa.ipc.open_file(source).schema
