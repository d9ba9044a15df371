"""A sweep over one parameter: mean accuracy and how far it is certain, over the seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from c2vl.report.style import C2VL, INFONCE, MARKERS, OKABE_ITO, Plot, drawing, finish

PROTOCOLS = {"linear": ("linear", C2VL, "o", "-"), "knn": ("KNN", INFONCE, "D", "--")}
Rows = Sequence[Mapping[str, Any]]


class Line(NamedTuple):
    """One line: its rows in the order of x, and how it is drawn."""

    label: str
    protocol: str
    rows: Rows
    colour: str
    marker: str
    style: str


def sweep(part: Mapping[str, Any], name: str, title: str, how: str) -> Plot | None:
    """Plot accuracy against the parameter.

    Settings without `line`: one panel for each benchmark, with a line for linear and one for KNN.
    Settings with `line`: a panel for each benchmark and protocol, with one line of each name.

    Args:
        part: one sweep of `ablations.json` with an `axis`.
        name: name of the plot's file.
        title: title of the plot.
        how: a sentence on how the runs were trained.
    """
    rows = sorted((row for row in part["rows"] if row["x"] is not None), key=lambda row: row["x"])
    if not rows:
        return None
    with drawing():
        panels = list(_panels(part["benchmarks"], rows))
        figure = Figure(figsize=(1.0 + 4.2 * len(panels), 3.0), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (heading, benchmark, lines) in zip(axes, panels, strict=True):
            _draw(axis, benchmark, lines)
            axis.set_title(heading)
            axis.set_xlabel(part["axis"])
        columns = min(4, len(panels[0][2]))
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=columns)
        where = "held-out training subjects" if part["split"] == "validation" else "test clips"
        certain = all(
            row["results"][benchmark][protocol].get("interval")
            for row in rows
            for benchmark in part["benchmarks"]
            for protocol in PROTOCOLS
        )
        bars = "95 % intervals" if certain else "one standard deviation over the seeds"
        caption = (
            f"Top-1 accuracy on {where}, last epoch; bars are {bars}. {how} "
            "The axis does not start at zero."
        )
        return finish(figure, name, title, caption)


def _panels(benchmarks: Sequence[str], rows: Rows) -> Iterator[tuple[str, str, list[Line]]]:
    """Title, benchmark and lines of each panel."""
    names = list(dict.fromkeys(row.get("line") or "" for row in rows))
    for benchmark in benchmarks:
        if names == [""]:
            lines = [
                Line(label, protocol, rows, *look) for protocol, (label, *look) in PROTOCOLS.items()
            ]
            yield benchmark, benchmark, lines
            continue
        for protocol, (label, *_) in PROTOCOLS.items():
            lines = []
            for number, name in enumerate(names):
                mine = [row for row in rows if row.get("line") == name]
                style = "--" if name.startswith("oracle") else "-"
                lines.append(
                    Line(name, protocol, mine, OKABE_ITO[number % 8], MARKERS[number % 10], style)
                )
            yield f"{benchmark}, {label}", benchmark, lines


def _draw(axis: Axes, benchmark: str, lines: Sequence[Line]) -> None:
    every = np.array([row["x"] for line in lines for row in line.rows], dtype=float)
    beside = 0.012 * float(np.ptp(every))  # keeps the bars at one place apart
    for number, line in enumerate(lines):
        found = [row["results"][benchmark][line.protocol] for row in line.rows]
        x = np.array([row["x"] for row in line.rows], dtype=float)
        mean = np.array([spread["mean"] for spread in found]) * 100
        axis.errorbar(
            x + (number - (len(lines) - 1) / 2) * beside,
            mean,
            np.array([_bar(spread) for spread in found]).T * 100,
            color=line.colour,
            marker=line.marker,
            linestyle=line.style,
            capsize=3,
            label=line.label,
        )
    places = np.unique(every)
    axis.set_xticks(places, [f"{value:g}" for value in places])
    axis.yaxis.set_major_formatter("{x:g} %")


def _bar(spread: Mapping[str, Any]) -> tuple[float, float]:
    """How far the bar reaches below and above the mean."""
    if ends := spread.get("interval"):
        return max(0.0, spread["mean"] - ends[0]), max(0.0, ends[1] - spread["mean"])
    return spread["std"] or 0.0, spread["std"] or 0.0
