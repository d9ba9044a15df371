"""The comparison over seeds: every run is a dot, so that the spread is visible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from c2vl.report.style import INK, METHOD_COLOURS, Plot, drawing, finish

Runs = Mapping[str, Sequence[float]]  # method → accuracy of each seed, 0…1


def seeds(runs: Mapping[str, Runs], names: Mapping[str, str]) -> Plot | None:
    """Plot the runs of each method, one panel for each benchmark and stream.

    Args:
        runs: title of a panel → method → accuracies.
        names: method → name to show.
    """
    runs = {title: of for title, of in runs.items() if of}
    if not runs:
        return None
    with drawing():
        most = max(len(of) for of in runs.values())
        figure = Figure(figsize=(1.6 + 4.4 * len(runs), 0.75 + 0.42 * most), layout="constrained")
        axes = figure.subplots(1, len(runs), squeeze=False, sharex=True)[0]
        for axis, (title, of) in zip(axes, runs.items(), strict=True):
            for y, (method, values) in enumerate(of.items()):
                colour, mean = METHOD_COLOURS.get(method, INK), float(np.mean(values)) * 100
                axis.plot([mean, mean], [y - 0.26, y + 0.26], color=colour, linewidth=2.2)
                axis.scatter(
                    np.asarray(values) * 100,
                    np.full(len(values), y),
                    s=30,
                    color=colour,
                    alpha=0.6,
                    linewidths=0,
                )
                axis.text(
                    mean,
                    y - 0.33,
                    f"{mean:.1f}",
                    ha="center",
                    va="bottom",
                    fontsize=8,
                    fontweight="bold",
                )
            axis.set_yticks(range(len(of)), [names.get(method, method) for method in of], color=INK)
            axis.set_ylim(len(of) - 0.5, -0.8)
            axis.xaxis.set_major_formatter("{x:.0f} %")
            axis.grid(False, axis="y")
            axis.margins(x=0.1)
            axis.set_title(title)
        caption = (
            "Linear evaluation, top-1 accuracy on test clips. Each dot is one seed, each bar the "
            "mean. The axis does not start at zero."
        )
        return finish(figure, "seeds", "Every seed", caption)
