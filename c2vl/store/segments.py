"""Segments: the store's files. An Arrow file of rows, named by the digest of its bytes, never changed once there.

The name is the checksum: a half-written or flipped segment does not hash to its name. Writing the same rows
twice gives the same file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from c2vl.files import write_bytes
from c2vl.store.keys import KEY_BYTES

SUFFIX = ".arrow"
KEY = pa.field("key", pa.binary(KEY_BYTES), nullable=False)


def write_segment(folder: Path, rows: pa.Table) -> str:
    """Publish `rows` (with a column `key`) atomically in `folder`; return the segment's name."""
    rows = rows.combine_chunks()
    bare = pa.schema([field.remove_metadata() for field in rows.schema])  # descriptions may change, rows may not
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, bare) as writer:
        writer.write_table(rows.cast(bare))
    content = sink.getvalue().to_pybytes()
    name = hashlib.blake2b(content, digest_size=KEY_BYTES).hexdigest()
    write_bytes(folder / (name + SUFFIX), content)
    return name


def is_intact(folder: Path, name: str) -> bool:
    """Whether the bytes of segment `name` still hash to it.

    Raises:
        FileNotFoundError: it is not there (any more).
    """
    with (folder / (name + SUFFIX)).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=KEY_BYTES)).hexdigest() == name


def read_keys(folder: Path, name: str) -> np.ndarray:
    """Keys of the segment's rows, (N,) `S16`; the other columns are not read."""
    with pa.memory_map(str(folder / (name + SUFFIX))) as source:
        column = pa.ipc.open_file(source).read_all().column("key").combine_chunks()
        return as_keys(column)


def as_keys(column: pa.Array) -> np.ndarray:
    """Copy a fixed-size binary column into (N,) `S16`."""
    return np.frombuffer(column.buffers()[1], f"S{KEY_BYTES}", len(column), column.offset * KEY_BYTES).copy()


def take_rows(folder: Path, name: str, positions: np.ndarray | Sequence[int]) -> pa.Table:
    """Rows of the segment at `positions`, copied out of it."""
    with pa.memory_map(str(folder / (name + SUFFIX))) as source:
        return pa.ipc.open_file(source).read_all().take(pa.array(positions, pa.int64()))


def read_schema(folder: Path, name: str) -> pa.Schema:
    """Schema of the segment's rows."""
    with pa.memory_map(str(folder / (name + SUFFIX))) as source:
        return pa.ipc.open_file(source).schema
