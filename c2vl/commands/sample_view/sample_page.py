"""Draw a sample as a page: skeleton over time, video frames, crops with answers, rows."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from c2vl.commands.sample_view.sample import Sample, splits
from c2vl.commands.sample_view.sample_facts import facts_of
from c2vl.core.files import published
from c2vl.core.layout import SkeletonLayout
from c2vl.core.tables.schemas import OK
from c2vl.models.stick_figure import extent, flattened, head, lines

MOMENTS, FEW_MOMENTS = {1: 8, 2: 5}, 4  # number of people -> skeletons on the page
PROMPTS = 4  # frames with crops
INK, MUTED, RULE, BOX, WINDOW = "#1c1c1a", "#6a6963", "#d9d7d0", "#ffd34d", "#ff5db1"
SIDE = {"left": "#0072b2", "right": "#d55e00", "middle": "#1c1c1a"}
SIDE_ON_VIDEO = {"left": "#4db8ff", "right": "#ff9a4d", "middle": "#ffffff"}
WIDTH, MOMENTS_HEIGHT = 13.0, 2.3  # inches
SKELETON_SHARE = 0.9  # of the row's height; the rest holds the frame numbers
SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.color": INK,
    "text.parse_math": False,
}
# Title, left edge, and distance from a name to its value.
COLUMNS = (("index", 0.0, 0.1), ("skeleton", 0.22, 0.1), ("files", 0.42, 0.085))


def write_page(sample: Sample, path: Path) -> None:
    """Draw `sample` as a PNG."""
    settings: Any = dict(matplotlib.rcParamsDefault) | SETTINGS | {"backend": "agg"}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of a class in another script
        figure = _page(sample)
        with published(path) as temporary:
            figure.savefig(
                temporary, format="png", dpi=110, facecolor="white", metadata={"Software": None}
            )


def _page(sample: Sample) -> Figure:
    prompts = _spread(sample.prompts, PROMPTS)
    indices = [
        frame for k in prompts if (frame := (sample.crops.get(k) or {}).get("frame")) is not None
    ]
    if not indices:
        indices = _spread(list(sample.video_range), PROMPTS)
    pictures = sample.frames(indices)
    facts = facts_of(sample)
    rows = [("title", 0.55), ("moments", MOMENTS_HEIGHT)]
    rows += [("frames", 1.95)] if pictures else []
    rows += [("prompts", 1.75)] if prompts else []
    rows += [("facts", 0.32 + 0.155 * max(map(len, facts)))]
    height = sum(size for _, size in rows)
    figure = Figure(figsize=(WIDTH, height))
    top = height
    for name, size in rows:
        area = (0.02, (top - size) / height, 0.96, size / height)
        top -= size
        if name == "title":
            _title(figure, area, sample)
        elif name == "moments":
            _moments(figure, area, sample)
        elif name == "frames":
            _frames(figure, area, sample, pictures)
        elif name == "prompts":
            _prompts(figure, area, sample, prompts)
        else:
            _columns(figure, area, facts)
    return figure


def _blank(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    axes = figure.add_axes((left, bottom, width, height))
    axes.set_axis_off()
    return axes


def _title(figure: Figure, area: tuple[float, ...], sample: Sample) -> None:
    axes = _blank(figure, *area)
    row = sample.row
    axes.text(
        0,
        0.62,
        str(row["sample"]),
        fontsize=15,
        weight="bold",
        va="center",
        transform=axes.transAxes,
    )
    parts = [
        sample.class_name,
        str(row["dataset"]),
        *(f"{name} {side}" for name, side in splits(row).items()),
    ]
    axes.text(
        0.265,
        0.60,
        "   ·   ".join(part for part in parts if part),
        fontsize=11,
        va="center",
        transform=axes.transAxes,
    )
    legend = (
        "blue: left side, orange: right side; yellow: people found (dotted: not of the action); "
        "pink: crop"
    )
    axes.text(
        1,
        0.08,
        legend,
        ha="right",
        va="center",
        fontsize=7.5,
        color=MUTED,
        transform=axes.transAxes,
    )
    remark = textwrap.shorten(row["reason"], 130, placeholder=" …")
    if row["status"] != OK:
        axes.text(
            0,
            0.12,
            f"{row['status']}: {remark}",
            color="#b00020",
            va="center",
            transform=axes.transAxes,
        )
    elif remark:
        axes.text(0, 0.12, remark, color=MUTED, va="center", transform=axes.transAxes)


def _moments(figure: Figure, area: tuple[float, ...], sample: Sample) -> None:
    joints = sample.joints
    left, bottom, width, height = area
    if joints is None or sample.skeleton is None:
        reason = sample.skeleton["reason"] if sample.skeleton else "it is not in the skeleton table"
        _blank(figure, *area).text(0.5, 0.5, f"no skeleton: {reason}", ha="center", color=MUTED)
        return
    # Preprocessed files may have frames without people.
    somebody = np.flatnonzero(joints.any(axis=(1, 2, 3))).tolist()
    chosen = _spread(somebody, MOMENTS.get(sample.skeleton["bodies"], FEW_MOMENTS))
    shown = joints[chosen, : sample.skeleton["bodies"]]
    flat = flattened(shown, sample.layout, size=sample.size)
    present = np.asarray(shown.any(axis=(2, 3)))  # (M, bodies)
    low, high = extent(flat[present])
    aspect = WIDTH * width / len(chosen) / (MOMENTS_HEIGHT * SKELETON_SHARE)  # of a cell
    middle = (low + high) / 2
    tall = max((high[1] - low[1]) / 2 * 1.15, (high[0] - low[0]) / 2 * 1.05 / aspect, 0.3)
    for place, frame in enumerate(chosen):
        axes = _blank(
            figure,
            left + width * place / len(chosen),
            bottom,
            width / len(chosen),
            height * SKELETON_SHARE,
        )
        for body in np.flatnonzero(present[place]):
            _draw(
                axes,
                flat[place, body],
                sample.layout,
                SIDE,
                2.0 if body == 0 else 1.3,
                alpha=1 if body == 0 else 0.6,
            )
        axes.set_xlim(middle[0] - tall * aspect, middle[0] + tall * aspect)
        axes.set_ylim(middle[1] + tall, middle[1] - tall)
        axes.set_aspect("equal")
        axes.axhline(high[1] + 0.02, color=RULE, lw=1, zorder=0)
        axes.set_title(f"frame {frame}", fontsize=8, color=MUTED, pad=1)


def _draw(
    axes: Axes,
    points: np.ndarray,
    layout: SkeletonLayout,
    colours: Mapping[str, str],
    width: float,
    alpha: float = 1,
) -> None:
    drawn = list(lines(points, layout))
    if drawn:
        ends, shades = [line for _, line in drawn], [colours[side] for side, _ in drawn]
        axes.add_collection(
            LineCollection(ends, colors=shades, linewidths=width, alpha=alpha, capstyle="round")
        )
    if circle := head(points, layout):
        axes.add_patch(
            Circle(
                circle[:2], circle[2], fill=False, ec=colours["middle"], lw=width * 0.8, alpha=alpha
            )
        )


def _frames(
    figure: Figure, area: tuple[float, ...], sample: Sample, pictures: Mapping[int, np.ndarray]
) -> None:
    crops = {row["frame"]: row for row in sample.crops.values() if row["frame"] is not None}
    for place, (frame, image) in enumerate(sorted(pictures.items())):
        axes = _cell(figure, area, place, f"video frame {frame}")
        axes.imshow(image, interpolation="bilinear")
        size = (image.shape[1], image.shape[0])
        joints = sample.joints_on(frame, *size)
        for body in joints if joints is not None else ():
            _draw(axes, body, sample.layout, SIDE_ON_VIDEO, 1.4)
        _boxes(axes, crops.get(frame))
        axes.set_xlim(0, size[0])
        axes.set_ylim(size[1], 0)


def _boxes(axes: Axes, crop: Mapping[str, Any] | None) -> None:
    if crop is None or crop["boxes"] is None:
        return
    chosen = set(np.asarray(crop["chosen"]).tolist())
    for place, (x0, y0, x1, y1) in enumerate(np.asarray(crop["boxes"]).reshape(-1, 4)):
        style = "-" if place in chosen else ":"
        axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=BOX, lw=1.2, ls=style))
    if crop["status"] == OK:
        x0, y0, x1, y1 = (crop[side] for side in ("x0", "y0", "x1", "y1"))
        axes.add_patch(
            Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=WINDOW, lw=1.2, ls="--")
        )


def _cell(figure: Figure, area: tuple[float, ...], place: int, title: str) -> Axes:
    left, bottom, width, height = area
    axes = _blank(
        figure,
        left + width * place / PROMPTS,
        bottom + 0.02 * height,
        width / PROMPTS * 0.96,
        height * 0.86,
    )
    axes.set_title(title, fontsize=8, color=MUTED, pad=2, loc="left")
    return axes


def _prompts(
    figure: Figure, area: tuple[float, ...], sample: Sample, prompts: Sequence[int]
) -> None:
    left, bottom, width, height = area
    clip_at = next((k for k in prompts if sample.has_crop(k)), prompts[0])
    for place, k in enumerate(prompts):
        begin, cell, tall = left + width * place / PROMPTS, width / PROMPTS * 0.96, height * 0.82
        data = sample.crops[k]["crop"] if sample.has_crop(k) else None
        beside = cell * 0.42 if data else 0.0
        text = _blank(figure, begin + beside, bottom + height * 0.06, cell - beside, tall)
        if data:
            axes = _blank(figure, begin, bottom + height * 0.06, cell * 0.4, tall)
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            if image is not None:
                axes.imshow(image[..., ::-1], interpolation="bilinear")
                axes.set_anchor("NW")
            axes.set_title(f"prompt {k}", fontsize=8, color=MUTED, pad=2, loc="left")
        said = sample.said(k, of_clip=k == clip_at)
        wrapped = textwrap.fill(said, 28 if data else 48, max_lines=10, placeholder=" …")
        text.text(0, 0.99, wrapped, va="top", linespacing=1.3, transform=text.transAxes)


def _columns(
    figure: Figure, area: tuple[float, ...], columns: Sequence[Sequence[tuple[str, str]]]
) -> None:
    axes = _blank(figure, *area)
    axes.axhline(1, color=RULE, lw=1)
    most = max(map(len, columns)) + 1
    for (title, left, gap), facts in zip(COLUMNS, columns, strict=True):
        axes.text(left, 1 - 0.9 / most, title, weight="bold", va="center", transform=axes.transAxes)
        for place, (name, value) in enumerate(facts):
            y = 1 - (place + 1.9) / (most + 0.9)
            axes.text(left, y, name, color=MUTED, va="center", fontsize=8, transform=axes.transAxes)
            axes.text(left + gap, y, value, va="center", fontsize=8, transform=axes.transAxes)


def _spread(items: Sequence[int], most: int) -> list[int]:
    """At most `most` of `items`, evenly spread: the middles of equal segments."""
    if len(items) <= most:
        return list(items)
    return [items[int((place + 0.5) * len(items) / most)] for place in range(most)]
