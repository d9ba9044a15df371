"""Show what the next run of each stage would compute, and why. Runs nothing and loads no engine.

  c2vl why                     all stages that use the sample store or train
  c2vl why caption             one stage
  c2vl why pretrain@xsub-joint

skeleton, crop, caption and embed keep every sample in the store; pretrain, baselines,
zero_shot_pretrain, finetune, semi and transfer keep every training there. DVC also runs a stage
after a change that alters no result, such as a comment: the stage then takes everything from the
store. This command does not verify checksums (`c2vl store verify` does); a run that finds damaged
files computes them again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from c2vl.core.errors import UserError

if TYPE_CHECKING:
    from c2vl.commands.pipeline.store_stages import StoredStage

MOST_CHANGES = 3  # named of a stage
HELP = "show what the next run would compute or train, and why"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("stage", nargs="?", help="a stage; default: all")


def run(arguments: argparse.Namespace) -> None:
    """Print a paragraph for each stage.

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
    for stage in reversed(STAGES):  # stages before the chosen ones may be out of date too
        relevant |= {*stage.after} if stage.name in relevant else set()
    stale: set[str] = set()
    for line in lines_on_files(stale):
        print(line, flush=True)
    for stage in STAGES:
        lines = list(lines_on(stage, stale)) if stage.name in relevant else []
        for line in lines if stage in chosen else ():
            print(line, flush=True)


def lines_on_files(stale: set[str]) -> Iterator[str]:
    """Yield a line if the raw files changed after the index was made; add the index to `stale`."""
    from c2vl.commands.pipeline.code_changes import code_change
    from c2vl.commands.pipeline.dvc_status import changed_before, dep_of, is_code
    from c2vl.commands.pipeline.store_stages import LISTED

    changed = changed_before(LISTED)
    if changed is None:
        yield (
            f"{LISTED}: DVC does not know whether it is up to date; "
            "the following counts the files that it listed last"
        )
        return
    for name, found in changed.items():
        what = [str(code_change(name, dep_of(text))) if is_code(text) else text for text in found]
        more = f" and {len(what) - MOST_CHANGES} more" if len(what) > MOST_CHANGES else ""
        yield f"{name}: out of date: {', '.join(what[:MOST_CHANGES])}{more}"
    if changed:
        stale.add(LISTED)
        yield f"  run `dvc repro {LISTED}`, then `c2vl why` again"


def lines_on(stage: StoredStage, stale: set[str]) -> Iterator[str]:
    """Yield lines about one stage; add its name to `stale` if it is not up to date."""
    from c2vl.store.status import status_of

    try:
        seen = status_of(stage.open(), stage.out)
    except UserError as error:
        stale.add(stage.name)
        yield f"{stage.name}: not known yet: {error}"
        return
    equal = seen.lacking - len(seen.missing)
    once = f" and with them {equal:,} equal ones" if equal else ""
    counted = f"computes {seen.count():,}{once} · has {seen.kept():,} of {seen.rows:,}"
    if seen.seeded:
        counted += f" · takes {seen.seeded:,} from the last version of {stage.out}"
    if seen.given:
        counted += f" · takes {len(seen.given):,} failures from `--fill`"
    if seen.unusable:
        counted += f" · {seen.unusable:,} have no input"
    yield f"{stage.name}: {counted}"
    yield from (f"  {line}" for line in seen.reasons())
    if not seen.count() and not seen.written:
        yield f"  {stage.out} does not match the store; its table will be rewritten"
    before = sorted(stale.intersection(stage.after))
    if before:
        runs = f"{before[0]} runs" if len(before) == 1 else f"{' and '.join(before)} run"
        yield f"  may become more: {runs} first; this counts what is here now"
    if before or not seen.is_current():
        stale.add(stage.name)
