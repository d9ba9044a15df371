"""What a stage would compute and for which reason, for the data as they lie here now; runs nothing and loads no engine.

The stages are skeleton, crop, caption and embed, which keep every sample's result in the store. DVC may run a stage for
other reasons too (`dvc status` tells); it then takes everything from the store. Checksums are believed
here; a run that finds damaged files computes their rows too (`c2vl store verify`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from c2vl.errors import UserError

if TYPE_CHECKING:
    from c2vl.works import StoredStage

HELP = "what skeleton, crop, caption and embed would compute, and why"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("stage", nargs="?", help="one of them; default: all")


def run(arguments: argparse.Namespace) -> None:
    """Print a paragraph a stage.

    Raises:
        UserError: there is no such stage.
    """
    from c2vl.works import stages_named

    stale: set[str] = set()
    for stage in stages_named(arguments.stage):
        for line in said(stage, stale):
            print(line, flush=True)
    if arguments.stage and stage.after:
        print(f"(for data/{stage.after[0]} as it lies here now; `c2vl why` without a stage tells of the stages before, too)")


def said(stage: StoredStage, stale: set[str]) -> Iterator[str]:
    """Lines on one stage; the names of stages that are not done go to `stale`."""
    from c2vl.store.outlook import outlook
    from c2vl.works import work_of

    try:
        seen = outlook(work_of(stage), stage.out)
    except UserError as error:
        stale.add(stage.name)
        yield f"{stage.name}: cannot be told yet: {error}"
        return
    kept = seen.rows - seen.count() - seen.seeded - len(seen.given)
    counted = f"computes {seen.count():,} · has {kept:,} of {seen.rows:,}"
    if seen.seeded:
        counted += f" · takes {seen.seeded:,} over from the last version of {stage.out}"
    if seen.given:
        counted += f" · seals {len(seen.given):,} failures of `--fill` as they are"
    yield f"{stage.name}: {counted}"
    yield from (f"  {line}" for line in seen.reasons())
    before = stale.intersection(stage.after)
    if before:
        yield f"  more may come: {', '.join(before)} runs first, this is for the table that it has made so far"
    if before or seen.count() or not stage.out.is_dir():
        stale.add(stage.name)
