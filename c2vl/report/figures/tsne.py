"""t-SNE of test features, one panel for each way of pretraining."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.manifold import TSNE

from c2vl.report.style import MARKERS, OKABE_ITO, Plot, drawing, finish


def tsne(
    panels: Sequence[tuple[str, NDArray[np.floating], NDArray[np.integer]]],
    names: Sequence[str],
    benchmark: str,
    classes: int,
    points: int,
    seed: int,
) -> Plot | None:
    """Embed features of the same random classes, one panel for each method.

    Args:
        panels: (title, (N, D) features, (N,) labels).
        names: class names by label.
        benchmark: its name, for the title.
        classes: number of classes to draw at random.
        points: largest number of points in a panel, drawn at random.
        seed: seed of both draws and of t-SNE.
    """
    generator = np.random.default_rng(seed)
    present = (
        np.unique(np.concatenate([labels for _, _, labels in panels]))
        if panels
        else np.empty(0, int)
    )
    if len(present) < 2:
        return None
    chosen = np.sort(generator.choice(present, size=min(classes, len(present)), replace=False))
    with drawing():
        figure = Figure(figsize=(3.35 * len(panels), 3.7), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (title, features, labels) in zip(axes, panels, strict=True):
            _panel(axis, features, labels, chosen, points, seed)
            axis.set_title(title)
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
            axis.spines[["left", "bottom"]].set_visible(False)
        handles, _ = axes[0].get_legend_handles_labels()
        figure.legend(
            handles,
            [names[label] for label in chosen],
            loc="outside lower left",
            ncols=5,
            handletextpad=0.2,
            markerscale=1.3,
        )
        return finish(
            figure,
            f"figure-7-tsne-{benchmark}",
            f"Figure 7: t-SNE of test features, {benchmark}",
            f"{len(chosen)} classes drawn at random (seed {seed}), joint stream, the same clips in "
            "every panel. Colour and shape both show the class. In t-SNE, distances between far "
            "clusters have no meaning. The paper shows encoders taught by pictures and by words "
            "separately.",
        )


def _panel(axis, features, labels, chosen, points: int, seed: int) -> None:  # type: ignore[no-untyped-def]
    rows = np.flatnonzero(np.isin(labels, chosen))
    if len(rows) > points:
        rows = np.sort(np.random.default_rng(seed).choice(rows, size=points, replace=False))
    x = np.asarray(features[rows], dtype=np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True) + 1e-9
    if len(rows) < 4 or not np.ptp(x):
        return
    perplexity = min(30.0, (len(rows) - 1) / 3)
    placed = TSNE(
        perplexity=perplexity, init="pca", random_state=seed, learning_rate="auto"
    ).fit_transform(x)
    for place, label in enumerate(chosen):
        here = labels[rows] == label
        colour, marker = OKABE_ITO[place % len(OKABE_ITO)], MARKERS[place % len(MARKERS)]
        axis.scatter(
            *placed[here].T,
            s=16,
            color=colour,
            marker=marker,
            linewidths=0,
            alpha=0.85,
            label=str(label),
        )
