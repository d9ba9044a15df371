"""Time, memory and counts of each stage, from the log of its last run on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from c2vl.models.streams import STREAMS
from c2vl.report.figures.timings import clock
from c2vl.report.result_table import Cell, Row, Table, words

COUNTS = ("computed", "reused", "failed")


def of_this_pipeline(
    records: Sequence[Mapping[str, Any]], params: Mapping[str, Any], made: Sequence[str]
) -> list[Mapping[str, Any]]:
    """The records of stages that the pipeline has now; those of another profile lie beside them.

    Args:
        records: `runlog.records()`.
        params: all of params.yaml.
        made: which of `compare` and `ablations` the report shows.
    """
    benchmarks = params["data"]["benchmarks"]
    cells = [f"{benchmark}-{stream}" for benchmark in benchmarks for stream in STREAMS]
    targets = list(params["transfer"].get("targets") or ())
    of = dict.fromkeys(("pretrain", "features", "finetune", "semi"), cells)
    of |= dict.fromkeys(("baselines", "baseline_features"), benchmarks)
    of |= dict.fromkeys(("target_index", "target_skeleton", "transfer"), targets)
    there = {"simulate": params.get("worlds"), "target_world": params.get("target_worlds")}
    there |= {name: [name] if name in made else [] for name in ("compare", "ablations")}

    def runs_now(name: str) -> bool:
        stage, _, cell = name.partition("-")
        return cell in of[stage] if stage in of else bool(there.get(name, True))

    return [record for record in records if runs_now(str(record["stage"]))]


def stage_table(records: Sequence[Mapping[str, Any]]) -> Table | None:
    """Seconds, peak memory and counts of each stage, in the order they ran, and their sum."""
    if not records:
        return None
    rows = []
    for record in records:
        counts = [_count(record.get(name)) for name in COUNTS]
        seconds, memory = float(record["seconds"]), float(record["peak_memory_mib"])
        taken = (Cell(clock(seconds), seconds), Cell(f"{memory:,.0f}", memory))
        rows.append(
            Row((words(str(record["stage"])), *taken, *counts, words(str(record.get("why") or ""))))
        )
    total, most = (
        sum(float(r["seconds"]) for r in records),
        max(float(r["peak_memory_mib"]) for r in records),
    )
    counted = [
        _count(sum(record[name] for record in records if isinstance(record.get(name), int)))
        for name in COUNTS[:2]
    ]
    # No sum of failures: a failed crop fails again as a missing answer and would count twice.
    counted.append(Cell("", ""))
    together = (words("together"), Cell(clock(total), total), Cell(f"{most:,.0f}", most))
    rows.append(Row((*together, *counted, words("")), kind="head"))
    return Table(
        "stages",
        "Stages",
        ("stage", "time", "peak memory, MiB", *COUNTS, "why it ran"),
        tuple(rows),
        "The last run of each stage on this machine. DVC skips a stage if nothing it reads has "
        "changed. Reused: taken from the sample store, not computed.",
    )


def _count(number: object) -> Cell:
    return Cell(f"{number:,}", number) if isinstance(number, int) else Cell("", "")


def total(records: Sequence[Mapping[str, Any]]) -> str:
    """The time of all stages together, such as `3 min 05 s`; empty without records."""
    return clock(sum(float(record["seconds"]) for record in records)) if records else ""
