"""Write a stage's output table from the store: one Parquet shard per setup and camera.

A shard is read and written a few row groups at a time, so memory does not grow with its size. Its
bytes depend only on the units and their rows, not on when or how often they were computed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from c2vl.core import tables
from c2vl.core.disk_errors import explained
from c2vl.core.errors import UserError
from c2vl.core.tables.schemas import OK
from c2vl.store.keys import KEY
from c2vl.store.plan import Plan
from c2vl.store.segments import pick
from c2vl.store.stage import REASON, STATUS, Failure, Stage
from c2vl.store.store import Store

PIECE_BYTES = 16 * 2**20
KEY_COLUMN = KEY.with_nullable(True).with_metadata(
    {
        "description": "content key of the row in the sample store, "
        "null where there was nothing to compute"
    }
)


def write_table(
    stage: Stage, store: Store, plan: Plan, failed: Mapping[bytes, Failure], output: Path
) -> Counter[str]:
    """Write all shards to `output`, remove other shards, and count the rows by status.

    Args:
        stage: the stage; it observes each finished table.
        store: holds the row of every key that is not in `failed`.
        plan: the plan of the run.
        failed: why keys have no row.
        output: folder of the shards.

    Raises:
        UserError: the output cannot be written, or results vanished from the store.
    """
    counts: Counter[str] = Counter({OK: 0})
    schema = stage.schema(store.schema())
    for shard, rows in plan.known.items():
        with (
            explained(output, "output", instead=""),
            tables.writing(output / f"{shard}.parquet", schema.append(KEY_COLUMN)) as add,
        ):
            for piece in _from_store(stage, store, rows, failed, schema):
                table = stage.finish(piece)
                add(table)
                stage.observe(table)
                counts.update(table.column(STATUS).to_pylist())
                del piece, table  # before the next is made
    _clear_others(output, plan.known)
    return counts


def _from_store(
    stage: Stage, store: Store, rows: pa.Table, failed: Mapping[bytes, Failure], schema: pa.Schema
) -> Iterator[pa.Table]:
    """Yield the `pieces` of a shard; if the store lacks a row, raise a `UserError`."""
    try:
        yield from pieces(rows, store, failed, schema)
    except KeyError:
        damaged = f" ({store.damaged:,} damaged files were set aside)" if store.damaged else ""
        raise UserError(
            f"{stage.name}: results vanished from the store {store.folder} during the run"
            f"{damaged}; run again to compute them."
        ) from None


def pieces(
    rows: pa.Table, store: Store, failed: Mapping[bytes, Failure], schema: pa.Schema
) -> Iterator[pa.Table]:
    """Yield the table of a shard in pieces of about `PIECE_BYTES`, in whole row groups.

    Raises:
        KeyError: a key is neither in the store nor among the failures.
    """
    group = tables.group_rows(schema)
    at, size = 0, group
    while at < len(rows) or at == 0:
        piece = finished_rows(rows.slice(at, size), store, failed, schema)
        at += size
        size = max(1, PIECE_BYTES * len(piece) // max(piece.nbytes, 1) // group) * group
        yield piece
        del piece  # before the next is made


def finished_rows(
    rows: pa.Table, store: Store, failed: Mapping[bytes, Failure], schema: pa.Schema
) -> pa.Table:
    """Return rows of the output table, from the plan and from the store.

    Args:
        rows: rows of the plan (`known_rows`).
        store: holds the row of every key that is not in `failed`.
        failed: why keys have no row.
        schema: schema of the stage's table; the result also has the content key.

    Raises:
        KeyError: a key is neither in the store nor among the failures.
    """
    keys = rows.column(KEY.name).to_pylist()
    usable = np.array([key is not None and key not in failed for key in keys], bool)
    found = store.rows([key for key, use in zip(keys, usable, strict=True) if use])
    computed = pick(found, np.where(usable, np.cumsum(usable) - 1, -1))
    status, reason = rows.column(STATUS).to_pylist(), rows.column(REASON).to_pylist()
    reasons = [None] * len(keys)
    if REASON in computed.column_names:
        reasons = computed.column(REASON).to_pylist()
    for position, (key, use) in enumerate(zip(keys, usable, strict=True)):
        if use:
            reason[position] = reasons[position] or ""
        elif key is not None:
            status[position], reason[position] = failed[key].status, failed[key].reason
    columns = {name: rows.column(name) for name in rows.column_names}
    columns |= {name: computed.column(name) for name in computed.column_names}
    columns |= {STATUS: pa.array(status, pa.string()), REASON: pa.array(reason, pa.string())}
    full = schema.append(KEY_COLUMN)
    blank = pa.nulls(len(keys))
    arrays = [columns.get(field.name, blank).cast(field.type) for field in full]
    return pa.table(arrays, schema=full)


def _clear_others(output: Path, shards: Iterable[str]) -> None:
    """Remove other shards, and half-written files of a killed run."""
    wanted = {f"{shard}.parquet" for shard in shards}
    for path in output.iterdir() if output.is_dir() else ():
        if (path.suffix == ".parquet" and path.name not in wanted) or path.suffix == ".part":
            path.unlink()
