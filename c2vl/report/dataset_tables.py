"""Tables about the data: samples, splits and classes, and why samples were excluded."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow.compute as pc

from c2vl.core.tables import schemas
from c2vl.report.pipeline_outputs import PipelineOutputs
from c2vl.report.result_table import Cell, Row, Table, words

TESTED_ON = {"xsub": "other people", "xview": "another camera", "xset": "other setups"}


def facts(outputs: PipelineOutputs) -> list[tuple[str, str]]:
    """(number, what it counts): samples, classes, subjects, setups, cameras, excluded."""
    index = outputs.index
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


def split_table(outputs: PipelineOutputs) -> Table:
    """Training and test samples of each benchmark."""
    index, rows = outputs.index, []
    benchmarks = [name for name in index.column_names if name not in schemas.INDEX.names]
    for name in benchmarks:
        counts = Counter(index.column(name).to_pylist())
        cells = (f"{counts[side]:,}" for side in ("train", "test"))
        numbers = [
            Cell(text, counts[side]) for text, side in zip(cells, ("train", "test"), strict=True)
        ]
        rows.append(Row((words(name), words(TESTED_ON.get(name, "")), *numbers)))
    return Table("splits", "Splits", ("benchmark", "tested on", "train", "test"), tuple(rows))


def excluded(outputs: PipelineOutputs, most: int = 8) -> list[tuple[str, int, list[str]]]:
    """(reason, number of samples, up to four of them), commonest first.

    With more than `most` reasons, the rarest ones are added up as "other reasons".
    """
    gone = outputs.index.filter(pc.not_equal(outputs.index.column("status"), schemas.OK))
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


def class_counts(outputs: PipelineOutputs) -> list[dict[str, Any]]:
    """`number`, `name` and `samples` of each class, in the order of labels."""
    kept = outputs.index.filter(pc.equal(outputs.index.column("status"), schemas.OK))
    counts = Counter(kept.column("label").to_pylist())
    return [
        {"number": f"A{label + 1:03}", "name": name, "samples": counts[label]}
        for label, name in enumerate(outputs.classes)
    ]
