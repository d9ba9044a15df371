"""What went in: samples, splits and classes, and what was left out for which reason."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow.compute as pc

from c2vl.core.tables import schemas
from c2vl.report.pipeline_outputs import Outs
from c2vl.report.result_table import Cell, Row, Table, words

TESTED_ON = {"xsub": "other people", "xview": "another camera", "xset": "other setups"}


def facts(outs: Outs) -> list[tuple[str, str]]:
    """(number, what it counts) for the head of the section."""
    index = outs.index
    kept = index.filter(pc.equal(index.column("status"), schemas.OK))

    def distinct(column: str) -> str:
        return f"{pc.count_distinct(kept.column(column)).as_py():,}"

    return [
        (f"{kept.num_rows:,}", "samples used"),
        (distinct("action"), "action classes"),
        (distinct("subject"), "subjects"),
        (distinct("setup"), "setups"),
        (distinct("camera"), "cameras"),
        (f"{index.num_rows - kept.num_rows:,}", "samples excluded"),
    ]


def split_table(outs: Outs) -> Table:
    """Training and test samples of each benchmark."""
    index, rows = outs.index, []
    benchmarks = [name for name in index.column_names if name not in schemas.INDEX.names]
    for name in benchmarks:
        counts = Counter(index.column(name).to_pylist())
        cells = (f"{counts[side]:,}" for side in ("train", "test"))
        numbers = [
            Cell(text, counts[side]) for text, side in zip(cells, ("train", "test"), strict=True)
        ]
        rows.append(Row((words(name), words(TESTED_ON.get(name, "")), *numbers)))
    return Table("splits", "Splits", ("benchmark", "tested on", "train", "test"), tuple(rows))


def excluded(outs: Outs, most: int = 8) -> list[tuple[str, int, list[str]]]:
    """(reason, how many samples, some of them), commonest first; reasons beyond `most` are summed up."""
    gone = outs.index.filter(pc.not_equal(outs.index.column("status"), schemas.OK))
    reasons: dict[str, list[str]] = {}
    for reason, sample in zip(
        gone.column("reason").to_pylist(), gone.column("sample").to_pylist(), strict=True
    ):
        reasons.setdefault(reason or "no reason given", []).append(sample)
    listed = [
        (reason, len(samples), samples[:4])
        for reason, samples in sorted(reasons.items(), key=lambda pair: -len(pair[1]))
    ]
    if len(listed) > most:
        rest = listed[most - 1 :]
        listed = [*listed[: most - 1], ("other reasons", sum(count for _, count, _ in rest), [])]
    return listed


def class_counts(outs: Outs) -> list[dict[str, Any]]:
    """`number`, `name` and `samples` of each class, in the order of labels."""
    kept = outs.index.filter(pc.equal(outs.index.column("status"), schemas.OK))
    counts = Counter(kept.column("label").to_pylist())
    return [
        {"number": f"A{label + 1:03}", "name": name, "samples": counts[label]}
        for label, name in enumerate(outs.classes)
    ]
