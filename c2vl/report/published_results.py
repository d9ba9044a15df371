"""Results that others published (`reference.json`), for the same data set and protocol only.

Each number says whether we found it in a public source other than the list it came from
(`verified`). A number that we could not confirm is shown with a question mark.
"""

from __future__ import annotations

from typing import Any

from c2vl.report.packaged import packaged_json
from c2vl.report.paper_tables import MODALITIES, paper_numbers
from c2vl.report.pipeline_outputs import PipelineOutputs, lookup
from c2vl.report.result_table import Cell, Row, Table, percent, words

UNCONFIRMED = " A question mark: we could not confirm the number; look it up before you cite it."


def published(kind: str, dataset: str) -> list[dict[str, Any]]:
    """Entries of `linear` or `zero_shot` for a data set, best first as the file lists them."""
    entries = packaged_json("reference.json")["others"][kind]
    return [entry for entry in entries if entry["dataset"] == dataset]


def number(found: dict[str, Any] | None) -> Cell:
    """The cell of a published number, `{top1, verified}` in percent; `–` for None."""
    if found is None:
        return percent(None)
    share = round(found["top1"] / 100, 4)
    shown = percent(share)
    return shown if found["verified"] else Cell(f"{shown.text} ?", share)


def unconfirmed(rows: list[Row]) -> str:
    """The note about question marks, where there are any."""
    marked = any(cell.text.endswith(" ?") for row in rows for cell in row.cells)
    return UNCONFIRMED if marked else ""


def linear_elsewhere(outputs: PipelineOutputs) -> Table | None:
    """Linear evaluation of this run beside the paper and the best that others published."""
    others, benchmarks = published("linear", outputs.dataset), outputs.benchmarks
    known = [entry for entry in others if set(entry["values"]) & set(benchmarks)]
    if not known:
        return None
    rows: list[Row] = []
    for stream in ("joint", "fusion"):
        head = words(MODALITIES[stream])
        ours = [
            lookup(outputs.metrics, "linear", benchmark, stream, "c2vl", "top1")
            for benchmark in benchmarks
        ]
        if any(value is not None for value in ours):
            cells = (words("C²VL, this run"), words(outputs.encoder), head, words(""))
            rows.append(Row((*cells, *map(percent, ours)), rule=stream != "joint"))
        paper = [
            lookup(paper_numbers(outputs.dataset), benchmark, "linear", stream)
            for benchmark in benchmarks
        ]
        if any(value is not None for value in paper):
            cells = (words("C²VL"), words("ST-GCN"), head, words("the paper"))
            shares = [None if value is None else round(value / 100, 4) for value in paper]
            rows.append(Row((*cells, *map(percent, shares)), "paper"))
        for entry in known:
            if entry["stream"] == stream:
                named = words(entry["method"]), words(entry["encoder"] or "–")
                numbers = (number(entry["values"].get(benchmark)) for benchmark in benchmarks)
                rows.append(Row((*named, head, words(entry["venue"]), *numbers), "elsewhere"))
    note = (
        "Top-1 accuracy in percent of a linear classifier on frozen features. Rows with a venue "
        "are published, not measured here; most report the best epoch on the test split, this run "
        "the last one." + unconfirmed(rows)
    )
    heads = ("method", "encoder", "modality", "published in", *benchmarks)
    title = f"linear evaluation, published results on {outputs.dataset_name}"
    return Table("published-linear", title, heads, tuple(rows), note)
