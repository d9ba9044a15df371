"""Run a stage: plan, compute what is missing, write the table, and log one line about it."""

from __future__ import annotations

import argparse
import logging
import random
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
from c2vl.store.fill import fill
from c2vl.store.plan import open_store, plan
from c2vl.store.seed import take_last_version
from c2vl.store.share import Share, share_of, share_of_environment
from c2vl.store.stage import Stage
from c2vl.store.status import why
from c2vl.store.write_table import write_table

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
        before = take_last_version(stage, store, planned, output)
        reason = why(store, planned.missing, description, before)
        given = failures.taken_over(store.folder, planned.missing)
        with failures.noting_too_many(store, planned):
            filled = fill(store, stage, planned, given)
            failures.refuse_if_all_failed(stage, planned, filled.failures)
        failures.note_last(store, planned, filled.failures)
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
        before = take_last_version(stage, store, planned, output)
        reason = why(store, planned.missing, description, before)
        with failures.noting_too_many(store, planned):
            filled = fill(store, stage, planned)
        failures.pass_on(store.folder, share, planned.notes(filled.failures))
        notes |= {"computed": filled.computed, "failed": len(filled.failures)}
        notes |= {**filled.notes(), "why": reason}
        counted = f"{stage.done} {filled.computed:,} · failed {len(filled.failures):,}"
        log.info(f"{stage.name}, share {share}: {counted} · why: {reason}")
