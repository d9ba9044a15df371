"""Run a stage: plan, compute what is missing, write the table, and log one line about it."""

from __future__ import annotations

import argparse
import logging
import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from c2vl.core.disk_errors import explained
from c2vl.core.errors import UserError
from c2vl.core.files import write_json
from c2vl.core.interrupt import interruptible
from c2vl.core.lock import stage_lock
from c2vl.core.runlog import logged
from c2vl.core.tables.schemas import OK
from c2vl.store import failures
from c2vl.store.fill import Filled, fill
from c2vl.store.plan import Plan, open_store, plan
from c2vl.store.seed import failed_before, seed, versions_of
from c2vl.store.share import Share, share_of, share_of_environment
from c2vl.store.stage import Failure, Stage
from c2vl.store.status import why
from c2vl.store.store import Store
from c2vl.store.write_table import stored_columns, write_table

log = logging.getLogger(__name__)

METRICS = "metrics.json"  # in the output, beside the shards


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare `--fill` and `--share`."""
    parser.add_argument(
        "--fill",
        action="store_true",
        help="compute what the store lacks and write no table; any number of processes may do so "
        "at once; `dvc repro` then writes the table",
    )
    parser.add_argument(
        "--share",
        metavar="I/N",
        help="with --fill: compute part I of N, counted from 1; default: the part that accelerate, "
        "torchrun, srun or a Slurm array assigns",
    )


def run_as_asked(
    stage: Stage, output: Path, chosen: argparse.Namespace, name: str | None = None
) -> None:
    """Run the stage, or fill the store, as the command line says.

    Args:
        stage: the stage.
        output: folder of its table.
        chosen: what `add_options` found.
        name: name in the run log; default: the stage's.

    Raises:
        UserError: as `run` and `fill_share`.
    """
    if chosen.share and not chosen.fill:
        raise UserError(
            "--share only works together with --fill. To write the output table, run the stage "
            "without --share."
        )
    if not chosen.fill:
        with logged(name or stage.name) as notes:
            run(stage, output, notes)
        return
    share = share_of(chosen.share) if chosen.share else share_of_environment()
    with logged(f"{name or stage.name}-share-{share.index}-of-{share.count}") as notes:
        fill_share(stage, output, share, notes)


def run(stage: Stage, output: Path, notes: dict[str, Any]) -> None:
    """Write `output` for the present inputs and parameters; compute only what the store lacks.

    Rows that the store lacks are taken from the output's last version if it has them: DVC keeps it
    in its cache even after it removed the output. Failures of `--fill` processes are copied too.

    Args:
        stage: the stage.
        output: folder of the shards and of `metrics.json`.
        notes: gets `computed`, `reused`, `failed`, `engine_seconds` and `why`, for the run log.

    Raises:
        UserError: the stage is running already, an input is missing, too many units failed, or
            all did.
    """
    with stage_lock(stage.name), interruptible():
        store, description = open_store(stage)
        if store.damaged:
            log.info(
                f"{stage.name}: {store.damaged} damaged files of the store were set aside; their "
                "rows are computed again."
            )
        planned = plan(stage, store)
        noted = failures.failed_last_time(store.folder)
        asked = planned.missing.among(bytes.fromhex(note["key"]) for note in noted)
        others = [note for note in noted if bytes.fromhex(note["key"]) not in asked]
        reason = why(store, planned.missing, description, _seed(stage, store, planned, output))
        given = failures.passed_on(store.folder)
        given = {key: given[key] for key in planned.missing.among(given)}
        planned.missing.drop(list(given))
        with failures.noting_too_many(store, planned):
            filled = _fill(stage, store, planned, given)
            failures.refuse_if_all_failed(stage, planned, filled.failures)
        # Notes on units of another data set in the same store, such as a transfer target's, stay.
        failures.note_last(store.folder, [*others, *planned.notes(filled.failures)])
        counts = write_table(stage, store, planned, filled.failures, output)
        store.note_written()
        failures.forget_passed_on(store.folder)
        failed = sum(count for status, count in counts.items() if status != OK)
        reused = counts[OK] - filled.computed
        notes |= {"computed": filled.computed, "reused": reused, "failed": failed}
        notes |= {**filled.notes(), "why": reason}
        summary = {
            "rows": counts.total(),
            "ok": counts[OK],
            "failed": {s: n for s, n in counts.items() if s != OK},
        }
        with explained(output, "output", instead=""):
            write_json(output / METRICS, {**summary, **stage.metrics()})
        counted = f"{stage.done} {filled.computed:,} · reused {reused:,} · failed {failed:,}"
        log.info(f"{counted} · why: {reason}")


def fill_share(stage: Stage, output: Path, share: Share, notes: dict[str, Any]) -> None:
    """Compute a share of what the store lacks, without a table, a lock or DVC.

    Args:
        stage: the stage.
        output: folder of its table, whose last version may seed the store.
        share: the share to compute.
        notes: gets `computed`, `failed`, `engine_seconds` and `why`, for the run log.

    Raises:
        UserError: an input is missing, or more units failed than the whole stage allows.
    """
    with interruptible():
        store, description = open_store(stage, verify=False)
        planned = plan(stage, store, share)
        # Somebody may have started several processes for the same share.
        planned.start = random.SystemRandom().random()
        reason = why(store, planned.missing, description, _seed(stage, store, planned, output))
        with failures.noting_too_many(store, planned):
            filled = _fill(stage, store, planned, {})
        failures.pass_on(store.folder, share, planned.notes(filled.failures))
        notes |= {"computed": filled.computed, "failed": len(filled.failures)}
        notes |= {**filled.notes(), "why": reason}
        counted = f"{stage.done} {filled.computed:,} · failed {len(filled.failures):,}"
        log.info(f"{stage.name}, share {share}: {counted} · why: {reason}")


def _seed(stage: Stage, store: Store, planned: Plan, output: Path) -> list[failures.Note]:
    """Take rows from the output's last version; return notes of what failed before."""
    if not len(planned.missing):
        return []
    sources = versions_of(output)
    taken = seed(store, stage, planned.columns, planned.missing, sources)
    if taken:
        log.info(
            f"{stage.name}: {taken:,} rows taken from the last version of {output}.",
        )
        store.note_written()  # so what is still missing counts as new, not as a first run
    return failed_before(store, sources)


def _fill(stage: Stage, store: Store, planned: Plan, given: Mapping[bytes, Failure]) -> Filled:
    """Compute what is missing; load the engine only if something is."""
    failed = planned.unusable + Counter(failure.reason for failure in given.values())
    allowed = stage.max_failed * planned.rows
    if failed.total() > allowed:
        failures.forget_passed_on(store.folder)  # so that the next run tries them again
        left = f"{planned.rows - failed.total():,} are left"
        raise failures.TooManyError(failures.too_many(stage, failed, left), {**given})
    filled = Filled()
    if len(planned.missing):
        stage.load()
        columns = stored_columns(stage.schema(None), planned.columns)
        filled = fill(store, stage, planned, allowed - failed.total(), columns)
        store.recheck()
        store.compact()
    filled.failures |= given
    return filled
