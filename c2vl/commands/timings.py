"""Show how long each stage's last run took on this machine.

  c2vl timings

Prints a line for each stage: seconds, peak memory in MiB, and how many results were computed, taken
from the store, or failed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import Any

HELP = "show seconds and peak memory of each stage's last run"
COUNTS = ("computed", "reused", "failed")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments."""


def run(arguments: argparse.Namespace) -> None:
    """Print the table."""
    from c2vl.core.runlog import records

    found = records()
    print(table(found) if found else "No stage has run here yet; run `make demo` or `dvc repro`.")


def table(records: Iterable[Mapping[str, Any]]) -> str:
    """Format run records (see `c2vl.core.runlog`) as a table.

    The last line holds the sum of the seconds and the largest memory.
    """
    records = list(records)
    rows = [_row(record) for record in records]
    total = sum(record["seconds"] for record in records)
    largest = max(record["peak_memory_mib"] for record in records)
    head = ["stage", "seconds", "peak MiB", *COUNTS]
    foot = ["total", f"{total:.1f}", f"{largest:.0f}", "", "", ""]
    lines = [head, *rows, foot]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    laid = [_aligned(line, widths) for line in lines]
    rule = "-" * len(laid[0])
    return "\n".join([laid[0], rule, *laid[1:-1], rule, laid[-1]])


def _row(record: Mapping[str, Any]) -> list[str]:
    counts = [str(record[name]) if name in record else "" for name in COUNTS]
    return [
        record["stage"],
        f"{record['seconds']:.1f}",
        f"{record['peak_memory_mib']:.0f}",
        *counts,
    ]


def _aligned(line: list[str], widths: list[int]) -> str:
    cells = [
        line[0].ljust(widths[0]),
        *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
    ]
    return "  ".join(cells)
