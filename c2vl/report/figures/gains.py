"""Draws how each setting of a sweep differs from the one that it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from c2vl.report.ablation_tables import FUSED, PROTOCOLS, drawn
from c2vl.report.style import C2VL, INK, MUTED, Plot, drawing, finish


def gains(part: Mapping[str, Any], name: str, title: str) -> Plot | None:
    """Plot the difference of each setting with its 95 % interval, one panel for each measure.

    Args:
        part: one sweep of `ablations.json`.
        name: name of the plot's file.
        title: title of the plot.

    Returns:
        The plot; None if nothing is compared, or if there is only one seed.
    """
    panels = [(of, protocol) for of in part["benchmarks"] for protocol in part["protocols"]]
    rows = [row for row in part["rows"] if row["name"] != part["against"]]
    found = [[row["results"][of][protocol]["gain"] for row in rows] for of, protocol in panels]
    if not rows or any(not gain or not gain["interval"] for column in found for gain in column):
        return None
    with drawing():
        longest = max(len(row["name"]) for row in rows)
        size = (0.07 * longest + 2.4 * len(panels), 0.8 + 0.28 * len(rows))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
        for axis, (of, protocol), column in zip(axes, panels, found, strict=True):
            axis.axvline(0, color=MUTED, linewidth=1)
            for y, (row, gain) in enumerate(zip(rows, column, strict=True)):
                low, high = (100 * end for end in gain["interval"])
                mean = 100 * gain["mean"]
                oracle = row["name"].startswith("oracle")
                axis.plot([low, high], [y, y], color=MUTED if oracle else C2VL)
                axis.plot([mean], [y], marker="D" if oracle else "o", color=INK if oracle else C2VL)
            axis.set_title(f"{of}, {(PROTOCOLS | FUSED)[protocol]}")
            axis.xaxis.set_major_formatter(lambda x, _: f"{x:+g}".replace("-", "−") if x else "0")
            axis.grid(False, axis="y")
        axes[0].set_yticks(range(len(rows)), [row["name"] for row in rows], color=INK)
        axes[0].set_ylim(len(rows) - 0.5, -0.5)
        where = "held-out training subjects" if part["split"] == "validation" else "test clips"
        caption = (
            f"Difference from “{part['against']}” on {where} in points of top-1 accuracy, last "
            f"epoch. Bars are 95 % intervals over {drawn(part)}; one that crosses the line at 0 "
            "does not decide."
        )
        return finish(figure, name, title, caption)
