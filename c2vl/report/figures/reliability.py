"""Reliability diagram: accuracy of the clips by the confidence of the classifier."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from c2vl.report.style import (
    METHOD_COLOURS,
    METHOD_MARKERS,
    METHOD_NAMES,
    MUTED,
    Plot,
    drawing,
    finish,
)

Bins = list[tuple[float, float, int]]  # mean confidence, accuracy, clips; without empty bins
LINES = {"random": ":", "infonce": "--", "c2vl": "-", "supervised": "-."}


def reliability(
    of: Mapping[str, Bins], error: Mapping[str, float | None], benchmark: str
) -> Plot | None:
    """Plot one line for each method; points are as large as their bins.

    Args:
        of: bins of each method.
        error: expected calibration error of each method.
        benchmark: its name, for the title.
    """
    methods = [method for method in LINES if of.get(method)]
    if not methods:
        return None
    with drawing():
        figure = Figure(figsize=(5.2, 4.2), layout="constrained")
        axis = figure.subplots()
        axis.plot([0, 100], [0, 100], color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
        for method in methods:
            marker, line = METHOD_MARKERS[method], LINES[method]
            total = sum(clips for _, _, clips in of[method])
            sure, right = ([row[place] * 100 for row in of[method]] for place in (0, 1))
            shown = f", error {error[method]:.3f}" if error.get(method) is not None else ""
            axis.plot(sure, right, line, color=METHOD_COLOURS[method], linewidth=1.2, alpha=0.7)
            sizes = [12 + 300 * row[2] / total for row in of[method]]
            axis.scatter(
                sure,
                right,
                sizes,
                color=METHOD_COLOURS[method],
                marker=marker,
                linewidths=0,
                alpha=0.75,
            )
            axis.plot(
                [],
                [],
                line,
                color=METHOD_COLOURS[method],
                marker=marker,
                label=METHOD_NAMES[method] + shown,
            )
        axis.set(xlim=(0, 102), ylim=(0, 102), xlabel="confidence", ylabel="accuracy")
        axis.xaxis.set_major_formatter("{x:.0f} %")
        axis.yaxis.set_major_formatter("{x:.0f} %")
        axis.legend(loc="upper left")
        return finish(
            figure,
            f"reliability-{benchmark}",
            f"Calibration: confidence against accuracy, {benchmark}",
            "Linear evaluation, joint stream, 15 bins of confidence. A point is as large as its "
            "share of the clips. On the dotted line, confidence equals accuracy; below it, the "
            "classifier is too confident.",
        )
