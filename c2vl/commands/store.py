"""What the sample store holds, by stage and fingerprint; `verify` holds every file to its checksum, `clean` makes room.

Marked `*` is what params.yaml asks for now. Everything else was computed under other parameters, engines or versions of a
stage: kept, so that going back costs nothing, until `clean` removes it. Nothing that params.yaml needs is ever removed.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2vl.core.errors import UserError

if TYPE_CHECKING:
    from c2vl.store.inventory import Holding
    from c2vl.store.trained import TrainedStore

HELP = "size of the sample store by stage and fingerprint; verify checksums; clean what is no longer needed"
MOST_DIFFERENCES = 4
Description = dict[str, Any]  # what a fingerprint is made of


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "action",
        nargs="?",
        choices=["show", "verify", "clean"],
        default="show",
        help="default: show",
    )
    parser.add_argument("--yes", action="store_true", help="clean: do not ask")
    parser.add_argument(
        "--keep",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="clean: keep what this params file needs, too",
    )


def run(arguments: argparse.Namespace) -> None:
    """Show, verify or clean.

    Raises:
        UserError: there is no store, damage was found, or nobody is there to be asked.
    """
    from c2vl.core.machine import store_dir
    from c2vl.store.inventory import holdings
    from c2vl.store.trained import TrainedStore

    trainings = TrainedStore()
    found = list(holdings(store_dir()))
    if not found and not trainings.entries():
        print(f"{store_dir()} holds nothing yet; `dvc repro` fills it.")
        return
    if arguments.action == "verify":
        verify(found, trainings)
    elif arguments.action == "clean":
        clean(found, trainings, arguments.keep, arguments.yes)
    else:
        show(found, trainings)


def show(found: list[Holding], trainings: TrainedStore) -> None:
    """Print a table, and under what is not in use how it differs from what is."""
    from c2vl.commands.pipeline.stored_trainings import shown

    needed, trouble = fingerprints([Path("params.yaml")])
    print(f"  {'stage':16} {'fingerprint':34} {'rows':>10} {'files':>6} {'size':>10}  written")
    for holding in found:
        used = holding.fingerprint in needed.get(holding.stage, {})
        mark = "*" if used else "?" if holding.stage not in needed else " "
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(holding.written))
        numbers = f"{holding.rows:10,} {holding.files:6,} {size(holding.size):>10}"
        print(f"{mark} {holding.stage:16} {holding.fingerprint:34} {numbers}  {when}")
        if holding.set_aside[0]:
            print(
                f"      {holding.set_aside[0]:,} damaged or half-written files set aside, {size(holding.set_aside[1])}"
            )
        if holding.damaged:
            print(f"      {holding.damaged:,} files cannot be read; `c2vl store verify` names them")
        if not used and holding.stage in needed:
            print(f"      differs in {differences(holding, needed[holding.stage])}")
    total = sum(holding.size + holding.set_aside[1] for holding in found)
    for line, count in shown(trainings):
        print(f"{line}  {size(count):>10}")
        total += count
    print(f"  together {size(total)}; * is what params.yaml needs, of trainings what outputs have")
    for stage, why in trouble.items():
        print(f"  ? {stage}: what it needs cannot be told: {why}")


def verify(found: list[Holding], trainings: TrainedStore) -> None:
    """Read everything.

    Raises:
        UserError: a file does not have the checksum it is named by.
    """
    from c2vl.store.inventory import damaged

    bad = []
    for holding in found:
        wrong = list(damaged(holding))
        bad += wrong
        said = f"{len(wrong):,} damaged" if wrong else "whole"
        print(
            f"{holding.stage} {holding.fingerprint}: {holding.files:,} files, {size(holding.size)}, {said}",
            flush=True,
        )
    if kept := len(trainings.entries()):
        wrong = trainings.damaged()
        bad += wrong
        print(f"trainings: {kept:,}, {f'{len(wrong):,} damaged' if wrong else 'whole'}", flush=True)
    if bad:
        raise UserError(
            f"{len(bad):,} files of the store are damaged, first {bad[0]}; the next run of their stages sets them aside "
            "and computes their rows again."
        )


def clean(found: list[Holding], trainings: TrainedStore, keep: list[Path], yes: bool) -> None:
    """Remove what no fingerprint of params.yaml (and of the files in `keep`) names, and what was set aside.

    Raises:
        UserError: nobody is there to be asked, or it cannot be removed.
    """
    from c2vl.commands.pipeline.stored_trainings import superfluous as superfluous_trainings
    from c2vl.store.inventory import left_over, remove, superfluous

    needed, trouble = fingerprints([Path("params.yaml"), *keep])
    for stage, why in trouble.items():
        print(f"{stage}: left alone, for what it needs cannot be told: {why}")
    goes = superfluous(found, {stage: set(known) for stage, known in needed.items()})
    for holding in [holding for holding in goes if holding.is_fresh()]:
        print(
            f"{holding.stage} {holding.fingerprint}: left alone, it was written to in the last 10 minutes"
        )
        goes.remove(holding)
    scraps = [
        path for holding in found if holding not in goes for path in left_over(holding.folder)
    ]
    trained = superfluous_trainings(trainings)
    if not goes and not scraps and not trained:
        print("nothing to remove")
        return
    for holding in goes:
        print(f"{holding.stage} {holding.fingerprint}: {holding.rows:,} rows, {size(holding.size)}")
        print(f"      differs in {differences(holding, needed[holding.stage])}")
    for path in scraps:
        print(f"{path}: set aside, {size(path.stat().st_size)}")
    for folder, what, count in trained:
        print(f"{folder}: {what}, {size(count)}")
    total = sum(holding.size + holding.set_aside[1] for holding in goes)
    total += sum(path.stat().st_size for path in scraps) + sum(count for *_, count in trained)
    if not yes:
        if not sys.stdin.isatty():
            raise UserError(
                f"{size(total)} would be removed; say `c2vl store clean --yes` where nobody can be asked."
            )
        others = "Other branches' results go too (--keep FILE spares those of a params file)."
        if not agreed(f"Remove {size(total)}? {others} [y/N] "):
            print("nothing was removed")
            return
    for holding in goes:
        remove(holding.folder)
    for path in scraps:
        path.unlink(missing_ok=True)
    for folder, *_ in trained:
        trainings.remove(folder)
    print(f"removed {size(total)}")


def agreed(question: str) -> bool:
    """Whether somebody says yes."""
    with contextlib.suppress(EOFError):
        return input(question).strip().lower() in ("y", "yes")
    print()
    return False


def fingerprints(files: list[Path]) -> tuple[dict[str, dict[str, Description]], dict[str, str]]:
    """What params files need: stage -> fingerprint -> what it is made of; and of which stages it cannot be told, and why."""
    from c2vl.commands.pipeline.store_stages import STAGES, needs_of

    needed: dict[str, dict[str, Description]] = {}
    trouble: dict[str, str] = {}
    for stage in STAGES:
        its: dict[
            str, dict[str, Description]
        ] = {}  # with its steps: in trouble, they are left alone with it
        try:
            for path in files:
                for name, fingerprint, description in needs_of(stage, path):
                    its.setdefault(name, {})[fingerprint] = description
        except UserError as error:
            trouble[stage.name] = str(error)
        else:
            needed |= its
    return needed, trouble


def differences(holding: Holding, needed: dict[str, Description]) -> str:
    """How the fingerprint differs from the first needed one: its value there and now."""
    from c2vl.store.status import apart, changes

    found = changes(holding.folder, next(iter(needed.values())))
    told = [
        f"{name} ({', now '.join(apart(there, now))})"
        for name, there, now in found[:MOST_DIFFERENCES]
    ]
    more = f" and {len(found) - MOST_DIFFERENCES} more" if len(found) > MOST_DIFFERENCES else ""
    return ", ".join(told) + more or "what is not written down"


def size(count: int) -> str:
    """Bytes as people say them."""
    number = float(count)
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"
