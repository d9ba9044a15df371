"""Methods compared: accuracy between chance and full supervision, and the gain of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from c2vl.report.style import C2VL, INFONCE, INK, MUTED, RULE, Plot, drawing, finish

Line = tuple[str, float, str]  # name, accuracy, colour


STACKED_WIDTH = 3.7  # inches: 355 pixels, the text column of a telephone


def versus(
    lines: Mapping[str, Sequence[Line]],
    chance: Mapping[str, float],
    titles: Mapping[str, str],
    stacked: bool = False,
) -> Plot | None:
    """Plot accuracies as bars, one panel for each benchmark.

    Args:
        lines: bars of each benchmark, from least to most supervision; accuracies in 0…1.
        chance: accuracy of a random guess, by benchmark, in 0…1.
        titles: title of each panel, by benchmark.
        stacked: panels below each other, for a narrow screen; otherwise side by side.
    """
    lines = {benchmark: rows for benchmark, rows in lines.items() if rows}
    if not lines:
        return None
    with drawing():
        most = max(len(rows) for rows in lines.values())
        size, shape = (0.9 + 4.4 * len(lines), 0.75 + 0.34 * most), (1, len(lines))
        if stacked:
            size, shape = (STACKED_WIDTH, size[1] * len(lines)), (len(lines), 1)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(*shape, squeeze=False).flat
        for place, (axis, (benchmark, rows)) in enumerate(zip(axes, lines.items(), strict=True)):
            for y, (_, accuracy, colour) in enumerate(rows):
                axis.plot(
                    [0, accuracy * 100],
                    [y, y],
                    color=colour,
                    linewidth=2.2,
                    alpha=0.35,
                    solid_capstyle="butt",
                )
                axis.plot(accuracy * 100, y, "o", color=colour, markersize=7)
                axis.text(
                    accuracy * 100 + (4.5 if stacked else 2.2),
                    y,
                    f"{accuracy * 100:.1f}",
                    va="center",
                    fontsize=8.5,
                    color=INK,
                    fontweight="bold",
                )
            if benchmark in chance:
                axis.axvline(
                    chance[benchmark] * 100, color=MUTED, linewidth=1, linestyle=(0, (2, 2))
                )
            axis.set_xlim(0, 112 if stacked else 108)
            axis.set_xticks(range(0, 101, 20), [f"{tick} %" for tick in range(0, 101, 20)])
            axis.set_ylim(len(rows) - 0.5, -0.5)
            same = (
                not stacked
                and place > 0
                and [row[0] for row in rows] == [row[0] for row in next(iter(lines.values()))]
            )
            axis.set_yticks(range(len(rows)), ["" if same else row[0] for row in rows], color=INK)
            axis.grid(False, axis="y")
            axis.spines["left"].set_color(RULE)
            title = titles[benchmark]
            axis.set_title(title.replace(": ", ":\n") if stacked else title)
        return finish(
            figure,
            "versus-stacked" if stacked else "versus",
            "Accuracy on test clips, method by method",
            "Top-1 accuracy on test clips, last epoch, of a linear classifier on the frozen "
            "features of the joint stream, unless named otherwise. “Words alone” is a bag of words "
            "over the clips' answers. InfoNCE treats every prompt as exactly right; C²VL lets "
            "similar clips share prompts. The dotted line is chance.",
        )


def per_class(
    names: Sequence[str],
    before: Sequence[float],
    after: Sequence[float],
    benchmark: str,
    most: int = 24,
) -> Plot | None:
    """Plot each class's accuracy under InfoNCE and under C²VL, sorted by the gain.

    Args:
        names: class names.
        before: accuracy under InfoNCE, 0…1.
        after: accuracy under C²VL, 0…1.
        benchmark: its name, for the title.
        most: largest number of classes shown; of more classes, the ends of the order.
    """
    if not len(names):
        return None
    order = np.argsort(np.asarray(before) - np.asarray(after), kind="stable")
    if len(order) > most:
        order = np.concatenate([order[: most // 2], order[-(most // 2) :]])
    with drawing():
        figure = Figure(figsize=(7.2, 0.8 + 0.235 * len(order)), layout="constrained")
        axis = figure.subplots()
        for y, at in enumerate(order):
            axis.plot(
                [before[at] * 100, after[at] * 100],
                [y, y],
                color=C2VL if after[at] >= before[at] else INFONCE,
                linewidth=2,
                alpha=0.4,
            )
        axis.plot(
            [before[at] * 100 for at in order],
            range(len(order)),
            "D",
            color=INFONCE,
            markersize=4.5,
            label="InfoNCE",
        )
        axis.plot(
            [after[at] * 100 for at in order],
            range(len(order)),
            "o",
            color=C2VL,
            markersize=6,
            label="C²VL",
        )
        axis.set_yticks(range(len(order)), [names[at] for at in order], color=INK)
        axis.set_ylim(len(order) - 0.4, -0.6)
        axis.xaxis.set_major_formatter("{x:.0f} %")
        axis.grid(False, axis="y")
        figure.legend(loc="outside lower left", ncols=2)
        shown = (
            ""
            if len(order) == len(names)
            else f" The {most // 2} largest gains and losses of {len(names)} classes."
        )
        return finish(
            figure,
            f"per-class-{benchmark}",
            f"What each class gained, {benchmark}",
            f"Linear evaluation, joint stream, on the same prompts; sorted by gain.{shown}",
        )
