"""A sweep over one parameter: mean accuracy and its deviation over the seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from c2vl.report.style import C2VL, INFONCE, Plot, drawing, finish

PROTOCOLS = {"linear": ("linear", C2VL, "o", "-"), "knn": ("KNN", INFONCE, "D", "--")}


def sweep(part: Mapping[str, Any], name: str, title: str, how: str) -> Plot | None:
    """Plot linear and KNN accuracy against the parameter, one panel for each benchmark.

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
        benchmarks = part["benchmarks"]
        figure = Figure(figsize=(1.0 + 4.2 * len(benchmarks), 3.0), layout="constrained")
        axes = figure.subplots(1, len(benchmarks), squeeze=False)[0]
        x = np.array([row["x"] for row in rows], dtype=float)
        beside = 0.006 * float(np.ptp(x))  # keeps two bars at one place apart
        for axis, benchmark in zip(axes, benchmarks, strict=True):
            for side, (protocol, (label, colour, marker, line)) in zip(
                (-1, 1), PROTOCOLS.items(), strict=True
            ):
                found = [row["results"][benchmark][protocol] for row in rows]
                mean = np.array([spread["mean"] for spread in found]) * 100
                deviation = np.array([spread["std"] or 0.0 for spread in found]) * 100
                axis.errorbar(
                    x + side * beside,
                    mean,
                    deviation,
                    color=colour,
                    marker=marker,
                    linestyle=line,
                    capsize=3,
                    label=label,
                )
            axis.set_title(benchmark)
            axis.set_xlabel(part["axis"])
            axis.set_xticks(x, [f"{value:g}" for value in x])
            axis.yaxis.set_major_formatter("{x:.0f} %")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=2)
        where = "held-out training subjects" if part["split"] == "validation" else "test clips"
        caption = (
            f"Top-1 accuracy on {where}, last epoch; bars are one standard deviation over the "
            f"seeds. {how} The axis does not start at zero."
        )
        return finish(figure, name, title, caption)
