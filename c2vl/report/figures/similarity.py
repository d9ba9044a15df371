"""Histograms of the similarity of skeletons to their own and to other clips' prompts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from c2vl.report.style import C2VL, INFONCE, METHOD_NAMES, MUTED, Plot, drawing, finish

Pairs = tuple[NDArray[np.floating], NDArray[np.floating]]  # similarities: positive, negative pairs


def separation(positive: NDArray[np.floating], negative: NDArray[np.floating]) -> float:
    """Probability that a positive pair is more similar than a negative one; 0.5 is chance.

    This is the area under the ROC curve.

    Args:
        positive: (P,) similarities.
        negative: (N,) similarities.
    """
    ordered = np.sort(negative)
    below, upto = (
        np.searchsorted(ordered, positive, "left"),
        np.searchsorted(ordered, positive, "right"),
    )
    return float(((below + upto) / 2).mean() / len(ordered))


def similarity(of: Mapping[tuple[str, str], Pairs], benchmark: str) -> Plot | None:
    """Plot one panel for each method and kind of prompt.

    Args:
        of: (method, kind of prompt) → cosine similarities (positive pairs, negative pairs).
        benchmark: its name, for the title.
    """
    of = {key: pairs for key, pairs in of.items() if len(pairs[0]) and len(pairs[1])}
    if not of:
        return None
    methods, knowledge = (
        sorted({key[0] for key in of}, reverse=True),
        sorted({key[1] for key in of}, reverse=True),
    )
    everything = np.concatenate([np.concatenate(pairs) for pairs in of.values()])
    bins = np.linspace(
        max(-1.0, float(everything.min()) - 0.02), min(1.0, float(everything.max()) + 0.02), 46
    )
    with drawing():
        figure = Figure(
            figsize=(4.9 * len(knowledge), 1.75 * len(methods) + 0.5), layout="constrained"
        )
        axes = figure.subplots(len(methods), len(knowledge), squeeze=False, sharex=True)
        for (row, method), (column, source) in (
            (r, c) for r in enumerate(methods) for c in enumerate(knowledge)
        ):
            axis = axes[row, column]
            axis.set_title(f"{METHOD_NAMES.get(method, method)}, {source} prompts")
            axis.set_yticks([])
            if (method, source) not in of:
                continue
            positive, negative = of[method, source]
            axis.hist(
                negative,
                bins,
                density=True,
                color=INFONCE,
                alpha=0.35,
                histtype="stepfilled",
                label="another clip's prompt",
            )
            axis.hist(
                negative,
                bins,
                density=True,
                color=INFONCE,
                histtype="step",
                linewidth=1.2,
                linestyle="--",
            )
            axis.hist(
                positive,
                bins,
                density=True,
                color=C2VL,
                alpha=0.35,
                histtype="stepfilled",
                label="its own prompt",
            )
            axis.hist(positive, bins, density=True, color=C2VL, histtype="step", linewidth=1.4)
            text = f"own prompt closer\nin {separation(positive, negative) * 100:.0f} % of pairs"
            axis.text(
                0.015, 0.95, text, transform=axis.transAxes, va="top", fontsize=8, color=MUTED
            )
            if row == len(methods) - 1:
                axis.set_xlabel("cosine similarity of skeleton and prompt")
        handles, labels = next(
            axis.get_legend_handles_labels()
            for axis in axes.flat
            if axis.get_legend_handles_labels()[0]
        )
        figure.legend(handles, labels, loc="outside lower left", ncols=2)
        return finish(
            figure,
            f"figure-4-5-similarity-{benchmark}",
            f"Figures 4 and 5: similarity of positive and negative pairs, {benchmark}",
            "Test clips, joint stream. Negative pairs include clips of the same class. Soft "
            "targets let these stay close, so complete separation is not the aim. The paper's "
            "Figure 4 shows the positive pairs, Figure 5 the negative ones, both of InfoNCE.",
        )
