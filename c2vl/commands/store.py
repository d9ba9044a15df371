"""Show the size of the sample store; check its files; remove what is no longer needed.

  c2vl store                             what it holds, by stage and fingerprint
  c2vl store verify                      compare every file with its checksum
  c2vl store clean                       remove what params.yaml does not need; asks first
  c2vl store clean --keep other.yaml     spare what another params file needs too

A fingerprint stands for the parameters, the engine and the version that computed the rows. `*`
marks what the present params.yaml needs. Other rows stay until you run `clean`, so that returning
to old parameters computes nothing.
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

HELP = "show the size of the sample store, check its files, remove what is not needed"
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
    parser.add_argument("--yes", action="store_true", help="with clean: do not ask")
    parser.add_argument(
        "--keep",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="with clean: keep what this params file needs too; may be given several times",
    )


def run(arguments: argparse.Namespace) -> None:
    """Show, verify or clean the store.

    Raises:
        UserError: a file is damaged, or `clean` can ask nobody.
    """
    from c2vl.core.machine import store_dir
    from c2vl.store.inventory import holdings
    from c2vl.store.trained import TrainedStore

    trainings = TrainedStore()
    found = list(holdings(store_dir()))
    if not found and not trainings.entries():
        print(f"{store_dir()} is empty. `dvc repro` fills it.")
        return
    if arguments.action == "verify":
        verify(found, trainings)
    elif arguments.action == "clean":
        clean(found, trainings, arguments.keep, arguments.yes)
    else:
        show(found, trainings)


def show(found: list[Holding], trainings: TrainedStore) -> None:
    """Print a table of all fingerprints; for one not in use, print how it differs."""
    from c2vl.commands.pipeline.stored_trainings import shown

    needed, unknown = fingerprints([Path("params.yaml")])
    print(f"  {'stage':16} {'fingerprint':34} {'rows':>10} {'files':>6} {'size':>10}  written")
    for holding in found:
        used = holding.fingerprint in needed.get(holding.stage, {})
        mark = "*" if used else "?" if holding.stage not in needed else " "
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(holding.written))
        numbers = f"{holding.rows:10,} {holding.files:6,} {size(holding.size):>10}"
        print(f"{mark} {holding.stage:16} {holding.fingerprint:34} {numbers}  {when}")
        if holding.set_aside[0]:
            print(
                f"      {holding.set_aside[0]:,} damaged or half-written files set aside, "
                f"{size(holding.set_aside[1])}"
            )
        if holding.damaged:
            print(f"      {holding.damaged:,} files cannot be read; `c2vl store verify` names them")
        if not used and holding.stage in needed:
            print(f"      differs in {differences(holding, needed[holding.stage])}")
    total = sum(holding.size + holding.set_aside[1] for holding in found)
    for line, count in shown(trainings):
        print(f"{line}  {size(count):>10}")
        total += count
    print(f"  total {size(total)}; * marks what params.yaml needs, or a training in an output")
    for stage, why in unknown.items():
        print(f"  ? {stage}: not known what it needs: {why}")


def verify(found: list[Holding], trainings: TrainedStore) -> None:
    """Compare every file with the checksum in its name.

    Raises:
        UserError: a file is damaged.
    """
    from c2vl.store.inventory import damaged

    bad = []
    for holding in found:
        wrong = list(damaged(holding))
        bad += wrong
        print(
            f"{holding.stage} {holding.fingerprint}: {holding.files:,} files, "
            f"{size(holding.size)}, {_state(wrong)}",
            flush=True,
        )
    if kept := len(trainings.entries()):
        wrong = trainings.damaged()
        bad += wrong
        print(f"trainings: {kept:,}, {_state(wrong)}", flush=True)
    if bad:
        raise UserError(
            f"{len(bad):,} files of the store are damaged; the first is {bad[0]}. Run `dvc repro`: "
            "the stages set these files aside and compute their rows again."
        )


def _state(damaged: list[Path]) -> str:
    return f"{len(damaged):,} damaged" if damaged else "no damage"


def clean(found: list[Holding], trainings: TrainedStore, keep: list[Path], yes: bool) -> None:
    """Remove damaged files that were set aside, and what no params file needs.

    Args:
        found: all that the store holds.
        trainings: the store of trainings.
        keep: params files beside params.yaml whose results stay.
        yes: do not ask.

    Raises:
        UserError: there is no terminal to ask on, or a folder cannot be removed.
    """
    from c2vl.commands.pipeline.stored_trainings import superfluous as superfluous_trainings
    from c2vl.store.inventory import left_over, remove, superfluous

    needed, unknown = fingerprints([Path("params.yaml"), *keep])
    for stage, why in unknown.items():
        print(f"{stage}: nothing is removed, because it is not known what it needs: {why}")
    goes = superfluous(found, {stage: set(known) for stage, known in needed.items()})
    for holding in [holding for holding in goes if holding.is_fresh()]:
        print(
            f"{holding.stage} {holding.fingerprint}: kept, because a process wrote to it in the "
            "last 10 minutes"
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
                f"This would remove {size(total)}, and there is no terminal to ask on. "
                "To remove it: c2vl store clean --yes"
            )
        others = "That includes results of other branches (--keep FILE spares a params file's)."
        if not agreed(f"Remove {size(total)}? {others} [y/N] "):
            print("removed nothing")
            return
    for holding in goes:
        remove(holding.folder)
    for path in scraps:
        path.unlink(missing_ok=True)
    for folder, *_ in trained:
        trainings.remove(folder)
    print(f"removed {size(total)}")


def agreed(question: str) -> bool:
    """Ask on the terminal; True if the answer is yes."""
    with contextlib.suppress(EOFError):
        return input(question).strip().lower() in ("y", "yes")
    print()
    return False


def fingerprints(files: list[Path]) -> tuple[dict[str, dict[str, Description]], dict[str, str]]:
    """Return what params files need of the store.

    Returns:
        needed: stage -> fingerprint -> its description.
        unknown: stage -> why its needs are not known. A stage is in one of the two, with the
            cached steps that belong to it.
    """
    from c2vl.commands.pipeline.store_stages import STAGES, needs_of

    needed: dict[str, dict[str, Description]] = {}
    unknown: dict[str, str] = {}
    for stage in STAGES:
        its: dict[str, dict[str, Description]] = {}
        try:
            for path in files:
                for name, fingerprint, description in needs_of(stage, path):
                    its.setdefault(name, {})[fingerprint] = description
        except UserError as error:
            unknown[stage.name] = str(error)
        else:
            needed |= its
    return needed, unknown


def differences(holding: Holding, needed: dict[str, Description]) -> str:
    """Say how a fingerprint differs from the first needed one: each value then and now."""
    from c2vl.store.status import apart, changes

    found = changes(holding.folder, next(iter(needed.values())))
    named = [
        f"{name} ({', now '.join(apart(there, now))})"
        for name, there, now in found[:MOST_DIFFERENCES]
    ]
    more = f" and {len(found) - MOST_DIFFERENCES} more" if len(found) > MOST_DIFFERENCES else ""
    return ", ".join(named) + more or "something that the store did not note"


def size(count: int) -> str:
    """Format a number of bytes, for example `1.5 MiB`."""
    number = float(count)
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"
