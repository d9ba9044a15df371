"""Lays out the results of one sweep as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from c2vl.report.result_table import Cell, Row, Table, percent, signed, words

PROTOCOLS = {"linear": "linear", "knn": "KNN"}  # name in the metrics → name in the table
FUSED = {"fused_linear": "3 streams linear", "fused_knn": "3 streams KNN"}


def table(
    part: Mapping[str, Any],
    name: str,
    heads: Sequence[str] = (),
    marks: Mapping[str, Sequence[str]] | None = None,
    paper: bool = True,
) -> Table:
    """Linear and KNN accuracy for each benchmark and their differences, then the paper's columns.

    Args:
        part: one sweep of `ablations.json`.
        name: name of the table's files.
        heads: further columns between the setting's name and its accuracies.
        marks: texts of these columns, by setting.
        paper: whether to show the paper's columns.
    """
    benchmarks, protocols = part["benchmarks"], part.get("protocols", list(PROTOCOLS))
    printed = [of for of in benchmarks if paper and any(of in row["paper"] for row in part["rows"])]
    measured = [
        f"{benchmark} {(PROTOCOLS | FUSED)[protocol]}"
        for benchmark in benchmarks
        for protocol in protocols
    ]
    differ = len(part["rows"]) > 1 and part.get("against") is not None
    rows = []
    for row in part["rows"]:
        spreads = [
            row["results"][benchmark][protocol]
            for benchmark in benchmarks
            for protocol in protocols
        ]
        ours = [percent(spread["mean"], spread=spread["std"]) for spread in spreads]
        gains = [_gain(spread.get("gain")) for spread in spreads] if differ else []
        theirs = [
            percent(row["paper"][of] / 100) if of in row["paper"] else Cell("", "")
            for of in printed
        ]
        texts = map(words, (marks or {}).get(row["name"], [""] * len(heads)))
        rows.append(Row((words(row["name"]), *texts, *ours, *gains, *theirs)))
    what = "held-out training subjects" if part["split"] == "validation" else "test clips"
    whose = "; the paper's columns are its own, on NTU RGB+D 60" if printed else ""
    note = (
        f"Top-1 accuracy in percent on {what}, last epoch: mean ± standard deviation over the "
        f"seeds{whose}."
    )
    if differ:
        names = {row["name"] for row in part["rows"]}
        place = "" if part["against"] in names else " at the same place of the axis"
        note += (
            f" Δ: difference from “{part['against']}”{place} in points, paired by seed and clip, "
            f"with its 95 % interval over {drawn(part)}."
        )
    title = f"{part['title']} ({part['reference']})" if part["reference"] else part["title"]
    changes = [f"Δ {name}" for name in measured] if differ else []
    theirs_of = [f"paper {benchmark}" for benchmark in printed]
    columns = ("setting", *heads, *measured, *changes, *theirs_of)
    return Table(name, title, columns, tuple(rows), note)


def drawn(part: Mapping[str, Any]) -> str:
    """What the intervals cover: only seeds on held-out subjects, as each seed has others."""
    return "the seeds" if part["split"] == "validation" else "seeds and people"


def _gain(spread: Mapping[str, Any] | None) -> Cell:
    if spread is None:  # the setting that the others are compared with
        return Cell("", "")
    return signed(percent(spread["mean"], spread=spread["std"], ends=spread["interval"]))
