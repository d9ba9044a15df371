"""What DVC says about the stage that it runs, without a word of `params.yaml` in a shell command.

`dvc.yaml` could write a benchmark or a target's name into `cmd`. A shell would then read it, and
the name `x; rm -r data` is a command. DVC's variable `DVC_STAGE` holds the same name as plain data.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

STAGE = "DVC_STAGE"  # DVC sets it to the name of the stage, such as `pretrain@xsub-joint`


def stage_arguments(
    parser: ArgumentParser, values: int = 1, before: Callable[[], str] | None = None
) -> Namespace:
    """Parse the command line; if it is empty, take the values from the name of the stage in DVC.

    Args:
        parser: declares the values as positional arguments, in the order of the stage's name.
        values: their number. Only the first may hold a `-`.
        before: gives the first argument, where it is not part of the stage's name.
    """
    given = sys.argv[1:]
    script, at, items = os.environ.get(STAGE, "").partition("@")
    if not given and at and script == Path(sys.argv[0]).stem:
        first = [] if before is None else [before()]
        given = ["--", *first, *items.rsplit("-", values - 1)]
    return parser.parse_args(given)
