"""Run a stage: plan, fill what is missing, seal the out, and say in one line what was done and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from c2vl import machine
from c2vl.errors import UserError
from c2vl.files import write_json
from c2vl.store.fill import Filled, fill, too_many
from c2vl.store.keys import fingerprint_of
from c2vl.store.lock import stage_lock
from c2vl.store.seal import INHERITED, KEY, REASON, STATUS, clear_others, ledger, sealed, stored_columns, write_shard
from c2vl.store.store import Store
from c2vl.store.why import why
from c2vl.store.work import Failure, Work
from c2vl.tables.schemas import OK

METRICS = "metrics.json"  # in the out, beside the shards


@dataclass
class Plan:
    """A stage before it runs: the ledger of each shard, and the keys that each lacks (a shared one stands once)."""

    ledgers: dict[str, pa.Table]
    missing: dict[str, set[bytes]]

    def rows(self) -> int:
        """Rows of the out that are this stage's own to make: without those an earlier stage failed on."""
        return sum(len(rows) - rows.column(INHERITED).to_pylist().count(True) for rows in self.ledgers.values())

    def unusable(self) -> list[Failure]:
        """Rows with nothing to compute on, other than inherited ones."""
        return [
            Failure(row[STATUS], row[REASON])
            for rows in self.ledgers.values()
            for row in rows.select([STATUS, REASON, INHERITED]).to_pylist()
            if row[STATUS] != OK and not row[INHERITED]
        ]


def open_store(work: Work) -> tuple[Store, dict[str, Any]]:
    """The store of a stage as its parameters stand, and what its fingerprint is made of."""
    schema = work.schema(None)
    description = {**work.description(), "columns": schema.names}
    return Store(machine.store_dir(), work.stage, fingerprint_of(description), description), description


def plan(work: Work, store: Store) -> Plan:
    """Read all units once and ask the store which are missing; computes nothing.

    Raises:
        UserError: an input is missing, or no sample is usable.
    """
    result = Plan({}, {})
    asked: set[bytes] = set()
    for shard in work.shards():
        rows = result.ledgers[shard] = ledger(work.units(shard, store.fingerprint), work.schema(None))
        keys = rows.column(KEY.name).drop_null().to_pylist()
        lacking = {key for key, absent in zip(keys, store.missing(keys), strict=True) if absent} - asked
        asked |= lacking
        result.missing[shard] = lacking
    if not result.rows() and not getattr(work, "may_be_empty", False):
        raise UserError(f"{work.stage}: no sample is usable; the reasons stand in the table of the stage before it.")
    return result


def run(work: Work, out: Path, notes: dict[str, Any]) -> None:
    """Bring `out` in line with the inputs and parameters, computing only what the store lacks.

    Args:
        work: the stage.
        out: folder of the sealed shards and of `metrics.json`: what the rows say, of deterministic things only.
        notes: gets `computed`, `reused`, `failed`, `engine_seconds` and `why`, for the run log.

    Raises:
        UserError: the stage is running already, an input is missing, or too many units failed.
    """
    with stage_lock(work.stage):
        store, description = open_store(work)
        if store.damaged:
            print(f"{work.stage}: {store.damaged} damaged files of the store were set aside; their rows are made again.")
        planned = plan(work, store)
        reason = why(store, planned.missing, description)
        filled = _fill(work, store, planned)
        counts = _seal(work, store, planned, filled, out)
        failed = sum(count for status, count in counts.items() if status != OK)
        reused = counts[OK] - filled.computed
        notes |= {"computed": filled.computed, "reused": reused, "failed": failed}
        notes |= {"engine_seconds": round(filled.engine_seconds, 3), "why": reason}
        summary = {"rows": counts.total(), "ok": counts[OK], "failed": {s: n for s, n in counts.items() if s != OK}}
        write_json(out / METRICS, {**summary, **work.metrics()})
        print(f"{work.done} {filled.computed:,} · reused {reused:,} · failed {failed:,} · why: {reason}", flush=True)


def _fill(work: Work, store: Store, planned: Plan) -> Filled:
    """Compute what is missing; the engine is loaded only then."""
    rows, unusable = planned.rows(), planned.unusable()
    allowed = work.max_failed * rows
    if len(unusable) > allowed:
        raise UserError(too_many(work, unusable, f"{rows - len(unusable):,} are left"))
    total = sum(map(len, planned.missing.values()))
    filled = Filled()
    if total:
        work.load()
        columns = stored_columns(work.schema(None), next(iter(planned.ledgers.values())))
        shards = (work.units(shard, store.fingerprint) for shard, missing in planned.missing.items() if missing)
        filled = fill(store, work, shards, total, allowed - len(unusable), columns)
        store.refresh()
        store.compact()
        store.note_failures(filled.failures)
    return filled


def _seal(work: Work, store: Store, planned: Plan, filled: Filled, out: Path) -> Counter[str]:
    """Write all shards; return how many rows have each status."""
    counts: Counter[str] = Counter({OK: 0})
    schema = work.schema(store.schema())
    for shard, rows in planned.ledgers.items():
        try:
            table = sealed(rows, store, filled.failures, schema)
        except KeyError:
            raise UserError(
                f"{work.stage}: results vanished from the store {store.folder} during the run; run again."
            ) from None
        write_shard(out, shard, table)
        work.observe(table)
        counts.update(table.column(STATUS).to_pylist())
    clear_others(out, planned.ledgers)
    return counts
