"""How long it took, and what was reused: the log of the stages' last runs on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from c2vl.report.figures.timings import clock
from c2vl.report.layout import Cell, Row, Table, words

COUNTS = ("computed", "reused", "failed")


def stage_table(records: Sequence[Mapping[str, Any]]) -> Table | None:
    """Seconds, peak memory and counts of each stage, in the order they ran, and their sum."""
    if not records:
        return None
    rows = []
    for record in records:
        counts = [
            Cell(f"{record[name]:,}", record[name]) if isinstance(record.get(name), int) else Cell("", "") for name in COUNTS
        ]
        seconds, memory = float(record["seconds"]), float(record["peak_memory_mib"])
        rows.append(Row((words(str(record["stage"])), Cell(clock(seconds), seconds), Cell(f"{memory:,.0f}", memory), *counts)))
    total, most = sum(float(r["seconds"]) for r in records), max(float(r["peak_memory_mib"]) for r in records)
    sums = [sum(record[name] for record in records if isinstance(record.get(name), int)) for name in COUNTS]
    counted = [Cell(f"{value:,}", value) for value in sums]
    rows.append(Row((words("together"), Cell(clock(total), total), Cell(f"{most:,.0f}", most), *counted), kind="head"))
    return Table(
        "stages",
        "Stages",
        ("stage", "time", "peak memory, MiB", *COUNTS),
        tuple(rows),
        "The last run of each stage on this machine; stages that DVC found unchanged did not run again. "
        "Reused: taken from the sample store instead of being computed.",
    )


def total(records: Sequence[Mapping[str, Any]]) -> str:
    """All stages' time together, as people say it; empty without records."""
    return clock(sum(float(record["seconds"]) for record in records)) if records else ""
