"""The command line of a stage that keeps its samples in the store: run it, or only fill the store with a share."""

from __future__ import annotations

import argparse
from pathlib import Path

from c2vl.core.errors import UserError
from c2vl.core.runlog import logged
from c2vl.store.run import fill_share, run
from c2vl.store.share import share_of, share_of_environment
from c2vl.store.work import Work


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare `--fill` and `--share`."""
    parser.add_argument(
        "--fill",
        action="store_true",
        help="only compute what the store lacks and keep it there; any number of processes may; `dvc repro` then seals",
    )
    parser.add_argument(
        "--share",
        metavar="I/N",
        help="with --fill: the I-th of N parts, from 1; default: what accelerate, torchrun, srun or a Slurm array says",
    )


def carry_out(work: Work, out: Path, chosen: argparse.Namespace, name: str | None = None) -> None:
    """Run the stage, or fill the store, as `chosen` says; the run log knows it as `name` (default: the work's stage).

    Raises:
        UserError: as `c2vl.store.run`.
    """
    if chosen.share and not chosen.fill:
        raise UserError(
            "--share is of --fill: a stage that seals its out needs all of it; give both or neither."
        )
    if not chosen.fill:
        with logged(name or work.stage) as notes:
            run(work, out, notes)
        return
    share = share_of(chosen.share) if chosen.share else share_of_environment()
    with logged(f"{name or work.stage}-share-{share.index}-of-{share.count}") as notes:
        fill_share(work, out, share, notes)
