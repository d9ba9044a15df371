"""Lays out the results of one sweep as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from c2vl.report.result_table import Cell, Row, Table, percent, words

PROTOCOLS = {"linear": "linear", "knn": "KNN"}  # name in the metrics → name in the table


def table(
    part: Mapping[str, Any],
    name: str,
    heads: Sequence[str] = (),
    marks: Mapping[str, Sequence[str]] | None = None,
    paper: bool = True,
) -> Table:
    """Our linear and KNN accuracy for each benchmark, then the paper's columns if it has some.

    Args:
        part: one sweep of `ablations.json`.
        name: name of the table's files.
        heads: further columns between the setting's name and its accuracies.
        marks: texts of these columns, by setting.
        paper: whether to show the paper's columns.
    """
    benchmarks = part["benchmarks"]
    printed = [of for of in benchmarks if paper and any(of in row["paper"] for row in part["rows"])]
    measured = [
        f"{benchmark} {protocol}" for benchmark in benchmarks for protocol in PROTOCOLS.values()
    ]
    rows = []
    for row in part["rows"]:
        spreads = [
            row["results"][benchmark][protocol]
            for benchmark in benchmarks
            for protocol in PROTOCOLS
        ]
        ours = [percent(spread["mean"], spread=spread["std"]) for spread in spreads]
        theirs = [
            percent(row["paper"][of] / 100) if of in row["paper"] else Cell("", "")
            for of in printed
        ]
        texts = map(words, (marks or {}).get(row["name"], [""] * len(heads)))
        rows.append(Row((words(row["name"]), *texts, *ours, *theirs)))
    what = "held-out training subjects" if part["split"] == "validation" else "test clips"
    whose = "; the paper's columns are its own, on NTU RGB+D 60" if printed else ""
    note = (
        f"Top-1 accuracy in percent on {what}, last epoch, mean ± standard deviation over the "
        f"seeds{whose}."
    )
    title = f"{part['title']} ({part['reference']})" if part["reference"] else part["title"]
    columns = ("setting", *heads, *measured, *(f"paper {benchmark}" for benchmark in printed))
    return Table(name, title, columns, tuple(rows), note)
