"""Rows without a result, of skeleton, crop, caption and embed: sample, prompt, status and reason; counted by reason first.

A failure is never kept as a result: every run of its stage tries it again. `--retry` runs one stage for that alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from c2vl.core.errors import UserError

if TYPE_CHECKING:
    from c2vl.commands.pipeline.store_stages import StoredStage

HELP = "rows without a result and why; --retry tries those of a stage again"
MOST = 20  # rows listed, unless all are asked for


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("stage", nargs="?", help="one of them; default: all")
    parser.add_argument(
        "--reason", metavar="WORD", help="only those with this in their status or reason"
    )
    parser.add_argument("--all", action="store_true", help=f"list all, not {MOST} a stage")
    parser.add_argument("--json", action="store_true", help="all rows as JSON")
    parser.add_argument(
        "--retry",
        action="store_true",
        help="run STAGE again for its failed rows alone, and seal its out anew",
    )


def run(arguments: argparse.Namespace) -> None:
    """List, or try again.

    Raises:
        UserError: there is no such stage, nothing is known of it, or more than its failures is missing.
    """
    from c2vl.commands.pipeline.store_stages import stages_named

    stages = stages_named(arguments.stage)
    if arguments.retry:
        if len(stages) != 1:
            raise UserError(
                "--retry needs one stage: c2vl failures STAGE --retry, such as caption or embed-vision."
            )
        retry(stages[0])
        return
    found: dict[str, list[dict[str, Any]]] = {}
    for stage in stages:
        try:
            found[stage.name] = selected(rows_of(stage), arguments.reason)
        except UserError as error:
            if stage is stages[-1] and not found:
                raise
            print(f"{stage.name}: cannot be told yet: {error}", file=sys.stderr)
    if arguments.json:
        print(
            json.dumps(
                [{"stage": name, **row} for name, rows in found.items() for row in rows],
                ensure_ascii=False,
                indent=1,
            )
        )
        return
    for name, rows in found.items():
        show(name, rows, arguments.all)


def rows_of(stage: StoredStage) -> list[dict[str, Any]]:
    """Failed rows of the out; of the store's notes where it is missing."""
    from c2vl.store.failures import failed_rows, noted_rows
    from c2vl.store.plan import open_store, plan

    try:
        rows = failed_rows(stage.out)
    except UserError as error:
        try:
            opened = stage.open()
            store, _ = open_store(opened, verify=False, look=True)
            rows = noted_rows(store, plan(opened, store))
        except UserError:
            raise error from None
        print(
            f"{stage.name}: {stage.out} is not there; this is what the store noted", file=sys.stderr
        )
    return [{name: value for name, value in row.items() if name != "key"} for row in rows]


def selected(rows: list[dict[str, Any]], word: str | None) -> list[dict[str, Any]]:
    """Those with `word` in status or reason, whatever its case."""
    return [
        row
        for row in rows
        if not word or word.lower() in f"{row['status']} {row['reason']}".lower()
    ]


def show(name: str, rows: list[dict[str, Any]], everything: bool) -> None:
    """Print counts by reason, then rows."""
    print(f"{name}: {len(rows):,} rows without a result")
    for (status, reason), count in Counter(
        (row["status"], row["reason"]) for row in rows
    ).most_common():
        print(f"  {count:7,}  {status}: {reason}")
    shown = rows if everything else rows[:MOST]
    for row in shown:
        prompt = f" {row['k']:3}" if row.get("k") is not None else ""
        print(f"    {row['sample'] or '?'}{prompt}  {row['status']}: {row['reason']}")
    if len(shown) < len(rows):
        print(f"    … {len(rows) - len(shown):,} more: --all or --json")


def retry(stage: StoredStage) -> None:
    """Run the stage through DVC, so that its lock file knows the new out; only if nothing but failures is missing."""
    from c2vl.store.failures import failed_last_time, failed_rows, forget_passed_on, passed_on
    from c2vl.store.plan import open_store, plan
    from c2vl.store.seed import drop_available, versions_of

    opened = stage.open()
    store, _ = open_store(opened, verify=False, look=True)
    missing = plan(opened, store).missing
    drop_available(
        missing, [source for source in versions_of(stage.out) if source.md5]
    )  # DVC removes those in the out itself
    failed = {bytes.fromhex(note["key"]) for note in failed_last_time(store.folder)} | passed_on(
        store.folder
    ).keys()
    if stage.out.is_dir():
        failed |= {row["key"] for row in failed_rows(stage.out) if row.get("key")}
    if not len(missing):
        print(
            f"{stage.name}: no failed row has anything to try again; failures of an earlier stage are tried there"
        )
        return
    others = len(missing) - len(missing.among(failed))
    if others:
        raise UserError(
            f"{stage.name}: {others:,} other units are missing as well; `c2vl why {stage.name}` says why, "
            f"`dvc repro {stage.target}` computes them and tries the failed ones too."
        )
    forget_passed_on(store.folder)
    command = [sys.executable, "-m", "dvc", "repro", "--force", "--single-item", stage.target]
    print(
        f"{stage.name}: trying {len(missing):,} again with `dvc repro --force --single-item {stage.target}`",
        flush=True,
    )
    if subprocess.run(command, check=False).returncode:
        raise UserError(f"{stage.name} did not run through; its sentence stands above.")
