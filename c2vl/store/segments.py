"""Segments, the files of the store: Arrow files of rows, named by the hash of their bytes.

A segment never changes. Its name is its checksum, so a half-written or damaged segment is noticed.
The same rows give the same file. Segments are read, not memory-mapped: if another machine removes a
mapped file from a shared disk, the process dies; a read raises an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from c2vl.core.files import draft, put_in_place, write_bytes
from c2vl.store.keys import KEY, KEY_BYTES, as_keys, key_array

SUFFIX = ".arrow"
CHUNK_BYTES = 2**20  # the least that is read to get one row
STALE_SECONDS = 3600  # after which a file that is being written belongs to a killed process
SCATTERED = 4  # mean rows per run; below this, slices cost more than copies


@dataclass(frozen=True)
class Written:
    """A segment that was just written.

    Attributes:
        name: of the file, without suffix.
        keys: of its rows, `S16`.
        size: approximate bytes of the rows.
        durable: true if it survives a power cut.
    """

    name: str
    keys: np.ndarray
    size: int
    durable: bool


class DamagedError(Exception):
    """A segment's bytes are not an Arrow file of rows; the text names the file."""


def remove_half_written(folder: Path) -> None:
    """Remove the files that killed processes left half written in `folder`."""
    for left in folder.glob(".*.part"):
        if time.time() - left.stat().st_mtime > STALE_SECONDS:
            left.unlink(missing_ok=True)


def write_segment(folder: Path, rows: pa.Table, durable: bool = True) -> str:
    """Publish `rows` (with a column `key`) atomically in `folder`; return the segment's name.

    It gives the bytes of `write_stream`; one chunk is written from memory, which is faster.
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
    """Publish the rows of `parts` as one segment, chunk by chunk; return its name.

    Args:
        folder: of the store.
        schema: of every part.
        parts: tables; one is in memory at a time.
        rows, size: approximate number of rows and bytes in all; they decide how chunks are cut.
        durable: wait until the data are on the disk.
    """
    bare = _bare(schema)
    chunks = _chunks(parts, max(1, CHUNK_BYTES * rows // max(size, 1)))
    with draft(folder, "segment") as temporary:
        with temporary.open("wb") as file:
            sink = Digesting(file)
            with pa.ipc.new_file(pa.PythonFile(sink, "w"), bare) as writer:
                for chunk in chunks:
                    writer.write_table(chunk.cast(bare))
        name = sink.digest.hexdigest()
        put_in_place(temporary, folder / (name + SUFFIX), durable)
    return name


def _bare(schema: pa.Schema) -> pa.Schema:
    """Return `schema` without metadata, which may change while the rows stay."""
    return pa.schema([field.remove_metadata() for field in schema])


class Digesting:
    """A file that hashes what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest, self.closed = file, hashlib.blake2b(digest_size=KEY_BYTES), False

    def write(self, content: bytes) -> int:
        """Write and hash."""
        self.digest.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        """Do nothing; there is no buffer here."""

    def close(self) -> None:
        """Mark as closed; the caller closes the file."""
        self.closed = True


def _chunks(parts: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """Yield the rows in pieces of `size`, except the last; `take_rows` relies on that."""
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


@contextlib.contextmanager
def _opened(
    folder: Path, name: str, columns: Sequence[str] = ()
) -> Iterator[pa.ipc.RecordBatchFileReader]:
    """A reader of the segment; of all columns, or of some.

    Raises:
        DamagedError: here or inside the block, whatever Arrow makes of damaged bytes.
        OSError: the file is not there or cannot be read.
    """
    path = folder / (name + SUFFIX)
    try:
        with pa.OSFile(str(path)) as source:
            reader = pa.ipc.open_file(source)
            if columns:
                fields = [reader.schema.get_field_index(column) for column in columns]
                only = pa.ipc.IpcReadOptions(included_fields=fields)
                reader = pa.ipc.open_file(source, options=only)
            yield reader
    except OSError as error:
        if error.errno is not None:  # the system's; Arrow's own have no number
            raise
        raise DamagedError(f"{path}: {error}") from None
    except (pa.ArrowException, ValueError, LookupError, MemoryError, OverflowError) as error:
        raise DamagedError(f"{path}: {error}") from None


def read_keys(folder: Path, name: str) -> np.ndarray:
    """Return the keys of a segment's rows, (N,) `S16`; other columns are not read.

    Raises:
        DamagedError, OSError: the segment cannot be read.
    """
    with _opened(folder, name, [KEY.name]) as reader:
        # One by one, because Arrow also allocates memory for columns that it does not read.
        chunks = (
            as_keys(reader.get_batch(number).column(0))
            for number in range(reader.num_record_batches)
        )
        return np.concatenate([key_array(()), *chunks])


def take_rows(folder: Path, name: str, positions: np.ndarray | Sequence[int]) -> pa.Table:
    """Return the rows at `positions`; only the chunks that hold them are read."""
    wanted = np.asarray(positions, np.int64)
    with _opened(folder, name) as reader:
        if not reader.num_record_batches or not len(wanted):
            return reader.schema.empty_table()
        first = reader.get_batch(0)
        size = max(first.num_rows, 1)  # of every chunk but the last
        needed, chunk = np.unique(wanted // size, return_inverse=True)
        chunks = [first if number == 0 else reader.get_batch(int(number)) for number in needed]
        return pick(pa.Table.from_batches(chunks), chunk * size + wanted % size)


def read_chunks(folder: Path, name: str) -> Iterator[pa.Table]:
    """Yield the segment's rows, chunk by chunk."""
    with _opened(folder, name) as reader:
        for number in range(reader.num_record_batches):
            yield pa.Table.from_batches([reader.get_batch(number)])


def read_schema(folder: Path, name: str) -> pa.Schema:
    """Return the schema of the segment's rows."""
    with _opened(folder, name) as reader:
        return reader.schema


def merge_segments(
    folder: Path, keys: Mapping[str, np.ndarray], size: int, held: Mapping[str, pa.Table]
) -> Written:
    """Publish several segments as one durable segment. Of rows with the same key, keep the first.

    Args:
        folder: of the store.
        keys: keys of each segment, by its name.
        size: bytes of the segments.
        held: rows of segments that are in memory already.
    """
    every = np.concatenate([*keys.values()])
    first = np.zeros(len(every), bool)
    first[np.unique(every, return_index=True)[1]] = True

    def once() -> Iterator[pa.Table]:
        begin = 0
        for name in keys:
            for chunk in [held[name]] if name in held else read_chunks(folder, name):
                kept = first[begin : begin + len(chunk)]
                begin += len(chunk)
                yield chunk if kept.all() else pick(chunk, np.flatnonzero(kept))

    schema = read_schema(folder, next(iter(keys)))
    name = write_stream(folder, schema, once(), len(every), size)
    return Written(name, every[first], size, durable=True)


def pick(table: pa.Table, positions: np.ndarray) -> pa.Table:
    """Return the rows at `positions` (N,), in that order; -1 gives a row of nulls.

    Neighbouring rows are not copied. `pyarrow.Table.take` copies lists number by number: about a
    millisecond for the joints of one clip.
    """
    positions = np.asarray(positions, np.int64)
    if not len(positions):
        return table.slice(0, 0)
    begins = np.flatnonzero(np.diff(positions, prepend=-9) != 1)
    begins = np.unique(
        np.concatenate(
            [begins, np.flatnonzero(positions < 0), np.flatnonzero(positions[:-1] < 0) + 1]
        )
    )
    ends = np.append(begins[1:], len(positions))
    if len(begins) > 16 and len(begins) * SCATTERED > len(positions):
        return table.take(pa.array(positions, mask=positions < 0))
    runs = zip(begins.tolist(), ends.tolist(), strict=True)
    return pa.concat_tables(_run(table, int(positions[begin]), end - begin) for begin, end in runs)


def _run(table: pa.Table, first: int, rows: int) -> pa.Table:
    if first < 0:
        schema = pa.schema([field.with_nullable(True) for field in table.schema])
        return pa.table([pa.nulls(rows, field.type) for field in schema], schema=schema)
    return table.slice(first, rows)
