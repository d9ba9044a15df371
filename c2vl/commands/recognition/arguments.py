"""Which classifier of the run a command uses: options that `predict` and `export` share."""

from __future__ import annotations

import argparse
import re

SOURCES = "pretrained, finetune, supervised or transfer:NAME"


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Declare `--from`, `--stream` and `--benchmark`."""
    parser.add_argument(
        "--from",
        dest="source",
        metavar="SOURCE",
        type=source,
        help=f"{SOURCES} (default: the most accurate of the first two, else the third)",
    )
    parser.add_argument(
        "--stream",
        choices=("joint", "motion", "bone", "fusion"),
        help="one stream, or the fusion of all (default: the most accurate)",
    )
    parser.add_argument(
        "--benchmark", help="benchmark of the encoder (default: the first of data.benchmarks)"
    )


def source(text: str) -> str:
    """Check a value of `--from`.

    Raises:
        argparse.ArgumentTypeError: it has another form.
    """
    if not re.fullmatch(r"pretrained|finetune|supervised|transfer:.+", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not {SOURCES}")
    return text
