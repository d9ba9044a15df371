"""Training curves: loss, KNN probe on held-out training clips, sharpness of the soft targets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from numpy.typing import NDArray

from c2vl.report.style import (
    METHOD_COLOURS,
    METHOD_MARKERS,
    METHOD_NAMES,
    STREAM_STYLES,
    Plot,
    drawing,
    finish,
)

Curve = Mapping[str, NDArray[np.float64]]  # column → (epochs,), NaN where it has no value
MARKED = 8  # a curve carries about this many markers
PANELS = (
    ("loss", "Loss"),
    ("probe", "KNN probe, held-out training clips"),
    ("diagonal", "Targets: mass on the true pair"),
)


def curves(of: Mapping[tuple[str, str], Curve], benchmark: str) -> Plot | None:
    """Plot the curves of one benchmark's runs.

    Args:
        of: (method, stream) → columns of its `curves.csv`.
        benchmark: its name, for the title.
    """
    panels = [
        (column, title)
        for column, title in PANELS
        if any(_known(curve, column) for curve in of.values())
    ]
    if not panels:
        return None
    with drawing():
        figure = Figure(figsize=(3.55 * len(panels), 2.7), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (column, title) in zip(axes, panels, strict=True):
            for (method, stream), curve in of.items():
                if not _known(curve, column):
                    continue
                known = np.isfinite(curve[column])
                label = METHOD_NAMES.get(method, method) + (
                    "" if stream == "joint" and method != "c2vl" else f", {stream}"
                )
                axis.plot(
                    curve["epoch"][known],
                    curve[column][known] * (100 if column == "probe" else 1),
                    STREAM_STYLES.get(stream, "-"),
                    color=METHOD_COLOURS.get(method),
                    marker=METHOD_MARKERS.get(method),
                    markevery=max(1, int(known.sum()) // MARKED),  # do not rely on colour alone
                    markersize=3.6,
                    label=label,
                )
            axis.set_title(title)
            axis.set_xlabel("epoch")
            axis.margins(x=0.02)
            if column == "probe":
                axis.yaxis.set_major_formatter("{x:.0f} %")
        handles: dict[str, Artist] = {}
        for axis in axes:
            handles |= {
                label: handle
                for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
                if label not in handles
            }
        figure.legend(
            list(handles.values()),
            list(handles),
            loc="outside lower left",
            ncols=min(6, len(handles)),
        )
        return finish(
            figure,
            f"curves-{benchmark}",
            f"Training curves, {benchmark}",
            "Losses of different objectives cannot be compared; the probe can. The probe "
            "classifies held-out clips of the training split by their nearest neighbour. It uses "
            "no test clip.",
        )


def _known(curve: Curve, column: str) -> bool:
    return column in curve and bool(np.isfinite(curve[column]).any())
