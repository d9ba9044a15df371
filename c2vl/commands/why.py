"""What a stage would compute, and why; runs nothing and loads no engine.

skeleton, crop, caption and embed keep every sample in the store; pretrain, baselines, finetune,
semi and transfer keep every training there. DVC may run a stage for reasons that change no result,
such as a comment: it then takes everything from the store. Checksums are not verified here
(`c2vl store verify`): a run that finds damaged files computes their part too.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from c2vl.core.errors import UserError

if TYPE_CHECKING:
    from c2vl.commands.pipeline.store_stages import StoredStage

MOST_CHANGES = 3  # named of a stage
HELP = "what a stage would compute or train, and why"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("stage", nargs="?", help="one of these; default: all")


def run(arguments: argparse.Namespace) -> None:
    """Print a paragraph a stage.

    Raises:
        UserError: there is no such stage, or a section of params.yaml is wrong.
    """
    from c2vl.commands.pipeline.training_cells import TRAINING_STAGES
    from c2vl.commands.pipeline.training_stages import explained

    trains = (arguments.stage or "").split("@")[0] in TRAINING_STAGES
    if not trains:
        explain_samples(arguments.stage)
    if trains or arguments.stage is None:
        for line in explained(arguments.stage):
            print(line, flush=True)


def explain_samples(name: str | None) -> None:
    """Print a paragraph for each stage that keeps samples in the store.

    Raises:
        UserError: there is no such stage.
    """
    from c2vl.commands.pipeline.store_stages import STAGES, stages_named

    chosen = stages_named(name)
    relevant = {stage.name for stage in chosen}
    for stage in reversed(
        STAGES
    ):  # those before them, too: quietly, to know whether they are up to date
        relevant |= {*stage.after} if stage.name in relevant else set()
    stale: set[str] = set()
    for line in lines_on_files(stale):
        print(line, flush=True)
    for stage in STAGES:
        lines = list(lines_on(stage, stale)) if stage.name in relevant else []
        for line in lines if stage in chosen else ():
            print(line, flush=True)


def lines_on_files(stale: set[str]) -> Iterator[str]:
    """A line where the index is not of the files that lie here now; it then goes to `stale`."""
    from c2vl.commands.pipeline.code_changes import code_change
    from c2vl.commands.pipeline.dvc_status import changed_before, dep_of, is_code
    from c2vl.commands.pipeline.store_stages import LISTED

    changed = changed_before(LISTED)
    if changed is None:
        yield (
            f"{LISTED}: DVC cannot tell whether it is up to date; "
            "the following is for the files that it listed last"
        )
        return
    for name, found in changed.items():
        what = [str(code_change(name, dep_of(text))) if is_code(text) else text for text in found]
        more = f" and {len(what) - MOST_CHANGES} more" if len(what) > MOST_CHANGES else ""
        yield f"{name}: out of date: {', '.join(what[:MOST_CHANGES])}{more}"
    if changed:
        stale.add(LISTED)
        yield f"  `dvc repro {LISTED}` runs that alone; then ask again"


def lines_on(stage: StoredStage, stale: set[str]) -> Iterator[str]:
    """Lines on one stage; the names of stages that are not done go to `stale`."""
    from c2vl.store.status import status_of

    try:
        seen = status_of(stage.open(), stage.out)
    except UserError as error:
        stale.add(stage.name)
        yield f"{stage.name}: cannot be told yet: {error}"
        return
    equal = seen.lacking - len(seen.missing)
    once = f" and with them {equal:,} equal ones" if equal else ""
    counted = f"computes {seen.count():,}{once} · has {seen.kept():,} of {seen.rows:,}"
    if seen.seeded:
        counted += f" · takes {seen.seeded:,} over from the last version of {stage.out}"
    if seen.given:
        counted += f" · takes over {len(seen.given):,} failures of `--fill`"
    if seen.unusable:
        counted += f" · {seen.unusable:,} have nothing to compute on"
    yield f"{stage.name}: {counted}"
    yield from (f"  {line}" for line in seen.reasons())
    if not seen.count() and not seen.written:
        yield f"  {stage.out} does not match the store; its table will be rewritten"
    before = sorted(stale.intersection(stage.after))
    if before:
        runs = f"{before[0]} runs" if len(before) == 1 else f"{' and '.join(before)} run"
        yield f"  more may come: {runs} first, this is for what lies here so far"
    if before or not seen.is_current():
        stale.add(stage.name)
