"""List the samples without a result, with the reason; try them again.

  c2vl failures                     all stages that use the sample store, counted by reason
  c2vl failures caption             one stage: skeleton, crop, caption, embed-vision, embed-language
  c2vl failures crop --reason video --all
  c2vl failures caption --retry     run the stage for its failed samples alone

A failure is never stored as a result, so every run of a stage tries its failed samples again.
`--retry` does only that, and writes the output table again.
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

HELP = "list samples without a result and why; --retry tries them again"
NO_CROP = "no_crop"  # status of a prompt without a crop, and of a clip without any
MOST = 20  # rows listed, unless all are asked for


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("stage", nargs="?", help="a stage; default: all")
    parser.add_argument(
        "--reason", metavar="WORD", help="only rows with WORD in their status or reason"
    )
    parser.add_argument(
        "--all", action="store_true", help=f"list every row, not only {MOST} a stage"
    )
    parser.add_argument("--json", action="store_true", help="print every row as JSON")
    parser.add_argument(
        "--retry",
        action="store_true",
        help="run the stage again for its failed rows, and write its output table",
    )


def run(arguments: argparse.Namespace) -> None:
    """List the failed rows, or try them again.

    Raises:
        UserError: there is no such stage, nothing is known about it, or `--retry` would have to
            compute more than the failed rows.
    """
    from c2vl.commands.pipeline.store_stages import stages_named

    stages = stages_named(arguments.stage)
    if arguments.retry:
        if len(stages) != 1:
            raise UserError(
                "--retry needs the name of one stage, for example: c2vl failures caption --retry"
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
            print(f"{stage.name}: not known yet: {error}", file=sys.stderr)
    if arguments.json:
        print(
            json.dumps(
                [{"stage": name, **row} for name, rows in found.items() for row in rows],
                ensure_ascii=False,
                indent=1,
            )
        )
        return
    for stage in stages:
        if stage.name in found:
            rows = found[stage.name]
            own = with_own_cause(rows, [found[name] for name in stage.after if name in found])
            show(stage.name, own, arguments.all, len(rows) - len(own))


def with_own_cause(
    rows: list[dict[str, Any]], before: list[list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Return the rows that do not only pass on a failure of an earlier stage.

    Args:
        rows: of a stage.
        before: rows of each stage whose table it reads; those without a `k` are of all prompts.
    """
    failed = {(row["sample"], row.get("k")) for earlier in before for row in earlier}
    samples = {sample for sample, _ in failed}
    return [
        row
        for row in rows
        if failed.isdisjoint({(row["sample"], row.get("k")), (row["sample"], None)})
        and not (row.get("k") is None and row["status"] == NO_CROP and row["sample"] in samples)
    ]


def rows_of(stage: StoredStage) -> list[dict[str, Any]]:
    """Return the failed rows of the output table; without one, those that the store noted."""
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
            f"{stage.name}: {stage.out} does not exist; these are the failures the store noted",
            file=sys.stderr,
        )
    return [{name: value for name, value in row.items() if name != "key"} for row in rows]


def selected(rows: list[dict[str, Any]], word: str | None) -> list[dict[str, Any]]:
    """Return the rows with `word` in status or reason; case does not matter."""
    return [
        row
        for row in rows
        if not word or word.lower() in f"{row['status']} {row['reason']}".lower()
    ]


def show(name: str, rows: list[dict[str, Any]], everything: bool, passed_on: int = 0) -> None:
    """Print counts by reason, then the rows."""
    more = f", and {passed_on:,} because an earlier stage failed" if passed_on else ""
    print(f"{name}: {len(rows):,} rows without a result{more}")
    for (status, reason), count in Counter(
        (row["status"], row["reason"]) for row in rows
    ).most_common():
        print(f"  {count:7,}  {status}: {reason}")
    shown = rows if everything else rows[:MOST]
    for row in shown:
        prompt = f" {row['k']:3}" if row.get("k") is not None else ""
        print(f"    {row['sample'] or '?'}{prompt}  {row['status']}: {row['reason']}")
    if len(shown) < len(rows):
        print(f"    … {len(rows) - len(shown):,} more; --all or --json lists them")


def retry(stage: StoredStage) -> None:
    """Run the stage through DVC, which notes the new output in `dvc.lock`.

    Raises:
        UserError: more than the failed rows is missing, or the stage failed.
    """
    from c2vl.store.failures import failed_last_time, failed_rows, forget_passed_on, passed_on
    from c2vl.store.plan import open_store, plan
    from c2vl.store.seed import drop_available, versions_of

    opened = stage.open()
    store, _ = open_store(opened, verify=False, look=True)
    missing = plan(opened, store).missing
    # Rows of the output folder itself do not count: DVC removes it before the stage runs.
    drop_available(missing, [source for source in versions_of(stage.out) if source.md5])
    failed = {bytes.fromhex(note["key"]) for note in failed_last_time(store.folder)} | passed_on(
        store.folder
    ).keys()
    if stage.out.is_dir():
        failed |= {row["key"] for row in failed_rows(stage.out) if row.get("key")}
    if not len(missing):
        print(
            f"{stage.name}: nothing to try again. A row that failed in an earlier stage is tried "
            "again there: c2vl failures"
        )
        return
    others = len(missing) - len(missing.among(failed))
    if others:
        raise UserError(
            f"{stage.name}: {others:,} rows that did not fail are missing too. "
            f"`c2vl why {stage.name}` says why; `dvc repro {stage.target}` computes them and tries "
            "the failed ones again."
        )
    forget_passed_on(store.folder)
    command = [sys.executable, "-m", "dvc", "repro", "--force", "--single-item", stage.target]
    print(
        f"{stage.name}: trying {len(missing):,} again with "
        f"`dvc repro --force --single-item {stage.target}`",
        flush=True,
    )
    if subprocess.run(command, check=False).returncode:
        raise UserError(f"{stage.name} failed; its error message is above.")
