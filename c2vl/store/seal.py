"""Seal a stage's out from the store: one Parquet shard per setup × camera, in the order of samples and prompts.

A shard is written as it is read, some row groups at a time, so that memory depends neither on its size nor on their number.

The out follows from the units and their rows alone: neither the order in which they were computed, nor how often
the run was killed, leaves a trace in its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from c2vl.core import tables
from c2vl.store.ledgers import REASON, STATUS
from c2vl.store.pick import pick
from c2vl.store.segments import KEY
from c2vl.store.store import Store
from c2vl.store.work import Failure

PIECE_BYTES = 16 * 2**20
KEY_COLUMN = KEY.with_nullable(True).with_metadata(
    {
        "description": "content key of the row in the sample store, null where there was nothing to compute"
    }
)


def out_schema(schema: pa.Schema) -> pa.Schema:
    """Schema of the shards of a stage whose table is `schema`: with the content key, so that an out can seed another store."""
    return schema.append(KEY_COLUMN)


def stored_columns(schema: pa.Schema, known: Iterable[str]) -> pa.Schema:
    """Columns of the out that are computed, and so kept in the store: all of them but a ledger's, `known` (a reason may be)."""
    beforehand = {*known} - {REASON}
    return pa.schema([field for field in schema if field.name not in beforehand])


def sealed(
    rows: pa.Table, store: Store, failures: Mapping[bytes, Failure], schema: pa.Schema
) -> pa.Table:
    """The finished table of a shard, or of a piece of it.

    Args:
        rows: its ledger.
        store: holds the row of every key that is not in `failures`.
        failures: why keys have no row.
        schema: of the stage's table; `out_schema` is the result's.

    Raises:
        KeyError: a key is neither in the store nor among the failures.
    """
    keys = rows.column(KEY.name).to_pylist()
    usable = np.array([key is not None and key not in failures for key in keys], bool)
    found = store.rows([key for key, use in zip(keys, usable, strict=True) if use])
    computed = pick(found, np.where(usable, np.cumsum(usable) - 1, -1))
    status, reason = rows.column(STATUS).to_pylist(), rows.column(REASON).to_pylist()
    said = (
        computed.column(REASON).to_pylist()
        if REASON in computed.column_names
        else [None] * len(keys)
    )
    for position, (key, use) in enumerate(zip(keys, usable, strict=True)):
        if use:
            reason[position] = said[position] or ""
        elif key is not None:
            status[position], reason[position] = failures[key].status, failures[key].reason
    columns = {name: rows.column(name) for name in rows.column_names} | {
        name: computed.column(name) for name in computed.column_names
    }
    columns |= {STATUS: pa.array(status, pa.string()), REASON: pa.array(reason, pa.string())}
    full = out_schema(schema)
    blank = pa.nulls(len(keys))
    return pa.table(
        [columns.get(field.name, blank).cast(field.type) for field in full], schema=full
    )


def pieces(
    rows: pa.Table, store: Store, failures: Mapping[bytes, Failure], schema: pa.Schema
) -> Iterator[pa.Table]:
    """The finished table of a shard in pieces of some `PIECE_BYTES`, cut where `tables.writing` may be given them.

    Raises:
        KeyError: as `sealed`.
    """
    group = tables.group_rows(schema)
    at, size = 0, group
    while at < len(rows) or at == 0:
        piece = sealed(rows.slice(at, size), store, failures, schema)
        at += size
        size = max(1, PIECE_BYTES * len(piece) // max(piece.nbytes, 1) // group) * group
        yield piece
        del piece  # before the next is made


def clear_others(out: Path, shards: Iterable[str]) -> None:
    """Remove shards of an earlier run that are not among `shards`, and what a killed one left half-written."""
    wanted = {f"{shard}.parquet" for shard in shards}
    for path in out.iterdir() if out.is_dir() else ():
        if (path.suffix == ".parquet" and path.name not in wanted) or path.suffix == ".part":
            path.unlink()
