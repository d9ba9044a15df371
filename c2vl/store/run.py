"""Run a stage: plan, fill what is missing, seal the out, and say in one line what was done and why."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from c2vl.core import machine, tables
from c2vl.core.disk_errors import said_plainly
from c2vl.core.errors import UserError
from c2vl.core.files import write_json
from c2vl.core.interrupt import interruptible
from c2vl.core.lock import stage_lock
from c2vl.core.tables.schemas import OK
from c2vl.store import failures
from c2vl.store.fill import fill
from c2vl.store.filled import Filled, TooManyError, too_many
from c2vl.store.keys import fingerprint_of
from c2vl.store.ledgers import INHERITED, REASON, STATUS, Ledgers, ledger
from c2vl.store.missing import Missing
from c2vl.store.seal import clear_others, out_schema, pieces, stored_columns
from c2vl.store.seed import failed_before, seed, versions_of
from c2vl.store.segments import KEY, as_keys
from c2vl.store.share import ALL, Share, blocks
from c2vl.store.store import Store
from c2vl.store.why import why
from c2vl.store.work import Failure, Finishing, Unit, Work

METRICS = "metrics.json"  # in the out, beside the shards
MOST_KEPT = 2048  # units; crops of full-HD frames are 60 MB


@dataclass
class Plan:
    """A stage before it runs.

    Attributes:
        ledgers: what is known of each shard's rows.
        missing: keys to compute; of a share's plan, those of that share alone.
        rows: rows of the out that are this stage's own to make: without those an earlier stage failed on.
        unusable: why rows have nothing to compute on, other than inherited ones, and how many of them.
        known: columns of the ledgers.
        kept: units of the first shards, as far as they are few: they need not be read again to be computed.
    """

    ledgers: Ledgers
    missing: Missing
    rows: int
    unusable: Counter[str]
    known: list[str]
    kept: dict[str, Sequence[Unit]] = field(default_factory=dict)

    def notes(self, failed: Mapping[bytes, Failure]) -> list[failures.Note]:
        """What there is to say of each row among `failed`."""
        identities = (
            (row.pop(KEY.name), row)
            for _, rows in (self.ledgers.items() if failed else ())
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
    """Read all units and ask the store which are missing; computes nothing.

    A key that several rows share belongs to the first of them, so that no two shares compute it.

    Raises:
        UserError: an input is missing, or no sample is usable.
    """
    ledgers, known, unusable, own_rows, blocks_seen = Ledgers(), list[str](), Counter[str](), 0, 0
    absent: list[np.ndarray] = []
    own: list[np.ndarray] = []
    kept: dict[str, Sequence[Unit]] = {}
    for shard in work.shards():
        units = work.units(shard, store.fingerprint)
        rows = ledger(units, work.schema(None))
        ledgers.add(shard, rows)
        known = max(
            known, rows.column_names, key=len
        )  # a shard without units does not know their identity
        ours = [
            unit.failure for unit in units if unit.failure is None or not unit.failure.inherited
        ]
        own_rows += len(ours)
        unusable.update(failure.reason for failure in ours if failure is not None)
        keys = as_keys(rows.column(KEY.name).drop_null())
        lacks = store.missing(keys)
        absent.append(keys[lacks])
        if lacks.any() and len(units) + sum(map(len, kept.values())) <= MOST_KEPT:
            kept[shard] = units
        mine = np.ones(len(absent[-1]), bool)
        if share != ALL:
            taken: set[bytes] = set()
            for block in blocks(units):
                taken |= (
                    {unit.key for unit in block if unit.key is not None}
                    if share.takes(blocks_seen)
                    else set()
                )
                blocks_seen += 1
            asked = rows.column(KEY.name).drop_null().to_pylist()
            mine = np.array([key in taken for key in asked], bool)[lacks]
        own.append(mine)
    if not own_rows and not getattr(work, "may_be_empty", False):
        raise UserError(
            f"{work.stage}: no sample is usable; the reasons stand in the table of the stage before it."
        )
    return Plan(ledgers, Missing([*ledgers], absent, own), own_rows, unusable, known, kept)


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
            print(
                f"{work.stage}: {store.damaged} damaged files of the store were set aside; their rows are made again."
            )
        planned = plan(work, store)
        reason = why(store, planned.missing, description, _seed(work, store, planned, out))
        others = _of_others(store, planned)
        given = failures.handed_over(store.folder)
        given = {key: given[key] for key in planned.missing.among(given)}
        planned.missing.drop(list(given))
        with _noting_too_many(store, planned):
            filled = _fill(work, store, planned, given)
        failures.note_last(store.folder, [*others, *planned.notes(filled.failures)])
        counts = _seal(work, store, planned, filled, out)
        store.note_sealed()
        failures.forget_handed_over(store.folder)
        failed = sum(count for status, count in counts.items() if status != OK)
        reused = counts[OK] - filled.computed
        notes |= {"computed": filled.computed, "reused": reused, "failed": failed}
        notes |= {**filled.notes(), "why": reason}
        summary = {
            "rows": counts.total(),
            "ok": counts[OK],
            "failed": {s: n for s, n in counts.items() if s != OK},
        }
        with said_plainly(out, "out", instead=""):
            write_json(out / METRICS, {**summary, **work.metrics()})
        print(
            f"{work.done} {filled.computed:,} · reused {reused:,} · failed {failed:,} · why: {reason}",
            flush=True,
        )


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
        reason = why(store, planned.missing, description, _seed(work, store, planned, out))
        with _noting_too_many(store, planned):
            filled = _fill(work, store, planned, {})
        failures.hand_over(store.folder, share, planned.notes(filled.failures))
        notes |= {"computed": filled.computed, "failed": len(filled.failures)}
        notes |= {**filled.notes(), "why": reason}
        counted = (
            f"{work.done} {filled.computed:,} · failed {len(filled.failures):,} · why: {reason}"
        )
        print(f"{work.stage}, share {share}: {counted}", flush=True)


def _of_others(store: Store, planned: Plan) -> list[failures.Note]:
    """Notes on units that this run does not ask for: another data set's, that is in the same store (a transfer target)."""
    noted = failures.failed_last_time(store.folder)
    asked = planned.missing.among(bytes.fromhex(note["key"]) for note in noted)
    return [note for note in noted if bytes.fromhex(note["key"]) not in asked]


@contextlib.contextmanager
def _noting_too_many(store: Store, planned: Plan) -> Iterator[None]:
    """Keep notes of the failures that end the block, so that they can be listed; there is no out to list them from."""
    try:
        yield
    except TooManyError as error:
        earlier = failures.failed_last_time(store.folder)
        without = store.missing([bytes.fromhex(note["key"]) for note in earlier])
        new = planned.notes(error.failures)
        known = {note["key"] for note in new}
        left = [
            note
            for note, lacks in zip(earlier, without, strict=True)
            if lacks and note["key"] not in known
        ]
        failures.note_last(store.folder, [*left, *new])
        raise


def _seed(work: Work, store: Store, planned: Plan, out: Path) -> list[failures.Note]:
    """Take over what the out's last version has of the missing rows; return notes of what failed before."""
    if not len(planned.missing):
        return []
    sources = versions_of(out)
    taken = seed(store, work, planned.known, planned.missing, sources)
    if taken:
        print(
            f"{work.stage}: {taken:,} rows taken over from the last version of {out}.", flush=True
        )
        store.note_sealed()  # what is still missing is then new, not a first run
    return failed_before(store, sources)


def _fill(work: Work, store: Store, planned: Plan, given: Mapping[bytes, Failure]) -> Filled:
    """Compute what is missing; the engine is loaded only then."""
    failed = planned.unusable + Counter(failure.reason for failure in given.values())
    allowed = work.max_failed * planned.rows
    if failed.total() > allowed:
        failures.forget_handed_over(store.folder)  # else the next run could not try them again
        raise TooManyError(
            too_many(work, failed, f"{planned.rows - failed.total():,} are left"), {**given}
        )
    filled = Filled()
    if len(planned.missing):
        work.load()
        columns = stored_columns(work.schema(None), planned.known)
        filled = fill(store, work, planned.missing, allowed - failed.total(), columns, planned.kept)
        store.recheck()
        store.compact()
    filled.failures |= given
    return filled


def _seal(work: Work, store: Store, planned: Plan, filled: Filled, out: Path) -> Counter[str]:
    """Write all shards; return how many rows have each status."""
    counts: Counter[str] = Counter({OK: 0})
    schema = work.schema(store.schema())
    finish = work.finished if isinstance(work, Finishing) else None
    for shard, rows in planned.ledgers.items():
        with (
            said_plainly(out, "out", instead=""),
            tables.writing(out / f"{shard}.parquet", out_schema(schema)) as add,
        ):
            for piece in _pieces(work, store, rows, filled, schema):
                table = finish(piece) if finish else piece
                add(table)
                work.observe(table)
                counts.update(table.column(STATUS).to_pylist())
                del piece, table  # before the next is made
    clear_others(out, planned.ledgers)
    return counts


def _pieces(
    work: Work, store: Store, rows: pa.Table, filled: Filled, schema: pa.Schema
) -> Iterator[pa.Table]:
    """`pieces` of a shard, its trouble with the store in one sentence."""
    try:
        with said_plainly(store.folder):
            yield from pieces(rows, store, filled.failures, schema)
    except KeyError:
        damaged = f" ({store.damaged:,} damaged files were set aside)" if store.damaged else ""
        raise UserError(
            f"{work.stage}: results vanished from the store {store.folder} during the run{damaged}; run again."
        ) from None
