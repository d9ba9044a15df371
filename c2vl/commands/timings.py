"""How long each stage's last run took on this machine, what it computed, reused and failed, and its peak memory."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import Any

HELP = "seconds, peak memory, computed / reused / failed of every stage's last run here"
COUNTS = ("computed", "reused", "failed")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments: none."""


def run(arguments: argparse.Namespace) -> None:
    """Print the table."""
    from c2vl.core.runlog import records

    found = records()
    print(
        table(found) if found else "No stage has run here yet; `make demo` or `dvc repro` starts."
    )


def table(records: Iterable[Mapping[str, Any]]) -> str:
    """Lay out run records (see `c2vl.core.runlog`) as text, with the sum of the seconds and the largest memory below."""
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
