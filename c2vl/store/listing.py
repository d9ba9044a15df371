"""Failed rows of a stage, from its out, or from the store's notes where the out is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from c2vl.core import tables
from c2vl.core.tables.schemas import OK
from c2vl.store.failures import failed_last_time, handed_over
from c2vl.store.ledgers import INHERITED, STATUS
from c2vl.store.run import Plan
from c2vl.store.segments import KEY
from c2vl.store.store import Store
from c2vl.store.work import Failure


def failed_rows(out: Path) -> list[dict[str, Any]]:
    """Rows of the out that are not ok: sample, k (where there is one), status, reason, key (None: nothing to compute).

    Raises:
        UserError: the out is not there or not readable.
    """
    found: list[dict[str, Any]] = []
    for path in tables.shard_paths(out):
        status = tables.read(
            path, ["status"]
        )  # far narrower than the rest; most shards have no failure
        if pc.all(pc.equal(status.column("status"), OK)).as_py():
            continue
        table = tables.read(
            path,
            [name for name in ("sample", "k", "status", "reason", KEY.name) if has(path, name)],
        )
        found += table.filter(pc.not_equal(table.column("status"), OK)).to_pylist()
    return found


def has(path: Path, column: str) -> bool:
    """Whether the shard has `column`."""
    import pyarrow.parquet as pq

    return column in pq.read_schema(path).names


def noted_rows(store: Store, planned: Plan) -> list[dict[str, Any]]:
    """The same without the out: what has nothing to compute on, and what failed in the last run or in workers since."""
    found: list[dict[str, Any]] = []
    for _, rows in planned.ledgers.items():
        found += (
            rows.filter(pc.not_equal(rows.column(STATUS), OK)).drop_columns([INHERITED]).to_pylist()
        )
    noted = {
        bytes.fromhex(note["key"]): Failure(note["status"], note["reason"])
        for note in failed_last_time(store.folder)
    }
    noted |= handed_over(store.folder)
    still = planned.missing.among(noted)
    found += planned.notes({key: noted[key] for key in still})
    return sorted(found, key=lambda row: (row["sample"], row.get("k") or 0))
