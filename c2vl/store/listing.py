"""Failed rows of a stage, from its out, or from the store's notes where the out is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from c2vl import tables
from c2vl.store.failures import failed_last_time, handed_over
from c2vl.store.segments import KEY
from c2vl.store.store import Store
from c2vl.tables.schemas import OK


def failed_rows(out: Path) -> list[dict[str, Any]]:
    """Rows of the out that are not ok: sample, k (where there is one), status, reason, key (None: nothing to compute).

    Raises:
        UserError: the out is not there or not readable.
    """
    found: list[dict[str, Any]] = []
    for path in tables.shard_paths(out):
        status = tables.read(path, ["status"])  # far narrower than the rest; most shards have no failure
        if pc.all(pc.equal(status.column("status"), OK)).as_py():
            continue
        table = tables.read(path, [name for name in ("sample", "k", "status", "reason", KEY.name) if has(path, name)])
        found += table.filter(pc.not_equal(table.column("status"), OK)).to_pylist()
    return found


def has(path: Path, column: str) -> bool:
    """Whether the shard has `column`."""
    import pyarrow.parquet as pq

    return column in pq.read_schema(path).names


def noted_rows(store: Store) -> list[dict[str, Any]]:
    """The same from the store: what failed in the last sealed run, or in workers since."""
    found = [{**note, "key": bytes.fromhex(note["key"])} for note in failed_last_time(store.folder)]
    known = {row["key"] for row in found}
    later = handed_over(store.folder)
    return found + [
        {"key": key, "sample": None, "status": failure.status, "reason": failure.reason}
        for key, failure in later.items()
        if key not in known
    ]
