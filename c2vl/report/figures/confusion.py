"""Confusion matrices: rows are the truth, columns the answers; each row adds up to 100 %."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from c2vl.report.style import Plot, drawing, finish

NAMED = 40  # with more classes the axes show numbers


def counts(truth: Sequence[int], answer: Sequence[int], classes: int) -> NDArray[np.int64]:
    """(C, C) counts: row the true label, column the predicted one."""
    flat = np.asarray(truth, dtype=np.int64) * classes + np.asarray(answer, dtype=np.int64)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


def confusion(
    matrices: Sequence[tuple[str, NDArray[np.int64]]],
    rows: Sequence[str],
    columns: Sequence[str],
    name: str,
    title: str,
    caption: str,
    number: bool = False,
) -> Plot | None:
    """Draw matrices of counts side by side on one scale.

    Args:
        matrices: (title, (R, C) counts).
        rows: R names of what is true.
        columns: C names of what was answered.
        name: name of the plot's file.
        title: title of the plot.
        caption: how to read it.
        number: write the percentages into the cells.
    """
    if not matrices or not any(matrix.sum() for _, matrix in matrices):
        return None
    with drawing():
        cell = 0.2 if len(rows) > 12 else 0.33
        side = (min(NAMED, len(columns)) * cell, min(NAMED, len(rows)) * cell)
        figure = Figure(
            figsize=(1.4 + len(matrices) * (side[0] + 0.5), side[1] + 1.5), layout="constrained"
        )
        axes = figure.subplots(1, len(matrices), squeeze=False)[0]
        for place, (axis, (heading, matrix)) in enumerate(zip(axes, matrices, strict=True)):
            total = matrix.sum(axis=1, keepdims=True)
            share = np.divide(matrix, total, out=np.zeros(matrix.shape), where=total > 0)
            image = axis.imshow(
                share * 100,
                cmap="viridis",
                vmin=0,
                vmax=100,
                interpolation="nearest",
                aspect="auto",
            )
            axis.set_title(heading)
            axis.grid(False)
            _ticks(axis.set_xticks, columns, rotation=90)
            _ticks(axis.set_yticks, rows if place == 0 else [""] * len(rows))
            axis.set_xlabel("answered")
            axis.set_ylabel("true" if place == 0 else "")
            if number:
                _numbers(axis, share)
        bar = figure.colorbar(image, ax=list(axes), fraction=0.025, pad=0.02, format="{x:.0f} %")
        bar.outline.set_visible(False)
        return finish(figure, name, title, caption)


def _ticks(place, names: Sequence[str], rotation: float = 0) -> None:  # type: ignore[no-untyped-def]
    if len(names) <= NAMED:
        place(range(len(names)), names, rotation=rotation, fontsize=7)
    else:
        place(
            range(9, len(names), 10),
            [str(number + 1) for number in range(9, len(names), 10)],
            fontsize=7,
        )


def _numbers(axis, share: NDArray[np.float64]) -> None:  # type: ignore[no-untyped-def]
    for (row, column), value in np.ndenumerate(share):
        if value >= 0.005:
            # Chosen for contrast on viridis, in the light and the dark scheme.
            colour = "#111111" if value > 0.6 else "#ffffff"
            axis.text(
                column,
                row,
                f"{value * 100:.0f}",
                ha="center",
                va="center",
                fontsize=6.5,
                color=colour,
            )


def worst(
    matrix: NDArray[np.int64], rows: Sequence[str], columns: Sequence[str], most: int = 5
) -> list[tuple[str, str, float, int]]:
    """The largest confusions: (true, answered, share of the true class, count), largest first."""
    total = matrix.sum(axis=1)
    wrong = [
        (rows[r], columns[c], float(matrix[r, c] / total[r]), int(matrix[r, c]))
        for r, c in np.argwhere(matrix > 0)
        if rows[r] != columns[c]
    ]
    return sorted(wrong, key=lambda found: (-found[2], -found[3], found[0]))[:most]
