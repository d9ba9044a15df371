"""Run a stage: plan, fill what is missing, seal the out, and say in one line what was done and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from c2vl import machine
from c2vl.errors import UserError
from c2vl.files import write_json
from c2vl.store import failures
from c2vl.store.fill import Filled, fill, too_many
from c2vl.store.interrupt import interruptible
from c2vl.store.keys import fingerprint_of
from c2vl.store.lock import stage_lock
from c2vl.store.seal import INHERITED, KEY, REASON, STATUS, clear_others, ledger, sealed, stored_columns, write_shard
from c2vl.store.seed import seed, versions_of
from c2vl.store.share import ALL, Share, blocks
from c2vl.store.store import Store
from c2vl.store.trouble import said_plainly
from c2vl.store.why import why
from c2vl.store.work import Failure, Finishing, Work
from c2vl.tables.schemas import OK

METRICS = "metrics.json"  # in the out, beside the shards


@dataclass
class Plan:
    """A stage before it runs: the ledger of each shard, and the keys that each lacks (a shared one stands once).

    Of a share's plan `missing` holds the keys of that share alone.
    """

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

    def missing_count(self) -> int:
        """Units to compute."""
        return sum(map(len, self.missing.values()))

    def drop(self, keys: Set[bytes]) -> None:
        """Take `keys` as no longer missing."""
        self.missing = {shard: lacking - keys for shard, lacking in self.missing.items()}

    def notes(self, failed: Mapping[bytes, Failure]) -> list[failures.Note]:
        """What there is to say of each row among `failed`."""
        identities = (
            (row.pop(KEY.name), row)
            for rows in (self.ledgers.values() if failed else ())
            for row in rows.drop_columns([STATUS, REASON, INHERITED]).to_pylist()
        )
        return failures.notes(failed, identities)


def open_store(work: Work, verify: bool = True) -> tuple[Store, dict[str, Any]]:
    """The store of a stage as its parameters stand, and what its fingerprint is made of."""
    fingerprint, description = described(work)
    return Store(machine.store_dir(), work.stage, fingerprint, description, verify), description


def described(work: Work) -> tuple[str, dict[str, Any]]:
    """The fingerprint of a stage as its parameters stand, and what it is made of."""
    description = {**work.description(), "columns": work.schema(None).names}
    return fingerprint_of(description), description


def plan(work: Work, store: Store, share: Share = ALL) -> Plan:
    """Read all units once and ask the store which are missing; computes nothing.

    A key that several rows share belongs to the first of them, so that no two shares compute it.

    Raises:
        UserError: an input is missing, or no sample is usable.
    """
    result = Plan({}, {})
    seen: set[bytes] = set()  # of absent keys; the others are many and cannot be asked for twice
    number = 0
    for shard in work.shards():
        units = work.units(shard, store.fingerprint)
        rows = result.ledgers[shard] = ledger(units, work.schema(None))
        keys = rows.column(KEY.name).drop_null().to_pylist()
        absent = {key for key, lacks in zip(keys, store.missing(keys), strict=True) if lacks} - seen
        seen |= absent
        if share != ALL:
            own: set[bytes] = set()
            for block in blocks(units):
                own |= {unit.key for unit in block if unit.key is not None} if share.takes(number) else set()
                number += 1
            absent &= own
        result.missing[shard] = absent
    if not result.rows() and not getattr(work, "may_be_empty", False):
        raise UserError(f"{work.stage}: no sample is usable; the reasons stand in the table of the stage before it.")
    return result


def run(work: Work, out: Path, notes: dict[str, Any]) -> None:
    """Bring `out` in line with the inputs and parameters, computing only what the store lacks.

    Rows of the out's last version, which DVC has in its cache also after it removed the out, are taken over where
    the store lacks them. What workers that filled the store failed on is taken over too, and not tried again.

    Args:
        work: the stage.
        out: folder of the sealed shards and of `metrics.json`: what the rows say, of deterministic things only.
        notes: gets `computed`, `reused`, `failed`, `engine_seconds` and `why`, for the run log.

    Raises:
        UserError: the stage is running already, an input is missing, or too many units failed.
    """
    with stage_lock(work.stage), interruptible():
        store, description = open_store(work)
        if store.damaged:
            print(f"{work.stage}: {store.damaged} damaged files of the store were set aside; their rows are made again.")
        planned = plan(work, store)
        _seed(work, store, planned, out)
        reason = why(store, planned.missing, description)
        given = failures.handed_over(store.folder)
        given = {key: given[key] for lacking in planned.missing.values() for key in lacking & given.keys()}
        planned.drop(given.keys())
        filled = _fill(work, store, planned, given)
        failures.note_last(store.folder, planned.notes(filled.failures))
        counts = _seal(work, store, planned, filled, out)
        store.note_sealed()
        failed = sum(count for status, count in counts.items() if status != OK)
        reused = counts[OK] - filled.computed
        notes |= {"computed": filled.computed, "reused": reused, "failed": failed}
        notes |= {"engine_seconds": round(filled.engine_seconds, 3), "fill_seconds": round(filled.seconds, 3), "why": reason}
        summary = {"rows": counts.total(), "ok": counts[OK], "failed": {s: n for s, n in counts.items() if s != OK}}
        with said_plainly(out, "out", instead=""):
            write_json(out / METRICS, {**summary, **work.metrics()})
        print(f"{work.done} {filled.computed:,} · reused {reused:,} · failed {failed:,} · why: {reason}", flush=True)


def fill_share(work: Work, out: Path, share: Share, notes: dict[str, Any]) -> None:
    """Compute a share of what the store lacks; seal nothing, lock nothing, know nothing of DVC's state.

    Args:
        work: the stage.
        out: its out, whose last version may seed the store.
        share: whose units to compute.
        notes: gets `computed`, `failed`, `engine_seconds` and `why`, for the run log.

    Raises:
        UserError: an input is missing, or more units failed than the whole stage may.
    """
    with interruptible():
        store, description = open_store(work, verify=False)
        planned = plan(work, store, share)
        _seed(work, store, planned, out)
        reason = why(store, planned.missing, description)
        filled = _fill(work, store, planned, {})
        failures.hand_over(store.folder, share, planned.notes(filled.failures))
        notes |= {"computed": filled.computed, "failed": len(filled.failures)}
        notes |= {"engine_seconds": round(filled.engine_seconds, 3), "fill_seconds": round(filled.seconds, 3), "why": reason}
        counted = f"{work.done} {filled.computed:,} · failed {len(filled.failures):,} · why: {reason}"
        print(f"{work.stage}, share {share}: {counted}", flush=True)


def _seed(work: Work, store: Store, planned: Plan, out: Path) -> None:
    """Take over what the out's last version has of the missing rows."""
    sources = versions_of(out) if planned.missing_count() else []
    if not sources:
        return
    taken = seed(store, work, next(iter(planned.ledgers.values())), set().union(*planned.missing.values()), sources)
    if taken:
        print(f"{work.stage}: {len(taken):,} rows taken over from the last version of {out}.", flush=True)
        planned.drop(taken)
        store.note_sealed()  # what is still missing is then new, not a first run


def _fill(work: Work, store: Store, planned: Plan, given: Mapping[bytes, Failure]) -> Filled:
    """Compute what is missing; the engine is loaded only then."""
    rows, failed = planned.rows(), [*planned.unusable(), *given.values()]
    allowed = work.max_failed * rows
    if len(failed) > allowed:
        failures.forget_handed_over(store.folder)  # else the next run could not try them again
        raise UserError(too_many(work, failed, f"{rows - len(failed):,} are left"))
    total = planned.missing_count()
    filled = Filled()
    if total:
        work.load()
        columns = stored_columns(work.schema(None), next(iter(planned.ledgers.values())))
        shards = ((work.units(shard, store.fingerprint), missing) for shard, missing in planned.missing.items() if missing)
        filled = fill(store, work, shards, total, allowed - len(failed), columns)
        store.refresh()
        store.compact()
    filled.failures |= given
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
        if isinstance(work, Finishing):
            table = work.finished(table)
        with said_plainly(out, "out", instead=""):
            write_shard(out, shard, table)
        work.observe(table)
        counts.update(table.column(STATUS).to_pylist())
    clear_others(out, planned.ledgers)
    return counts
