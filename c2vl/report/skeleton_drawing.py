"""Draws skeletons as SVG: 3D joints at a few moments, and colour joints over a video frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from c2vl.core.layout import SkeletonLayout
from c2vl.datasets.image_joints import on_video
from c2vl.models.stick_figure import SIDES, YAW, extent, flattened, head, lines


def moments(
    joints: NDArray[np.floating],
    layout: SkeletonLayout,
    bodies: int,
    count: int,
    size: tuple[int, int] | None = None,
    yaw: float = YAW,
    height: float = 96.0,
) -> str:
    """Draw the skeleton at `count` moments, evenly spread over the clip, as one SVG strip.

    Args:
        joints: (T, M, V, 3), as in the skeleton table.
        layout: their skeleton.
        bodies: real actors, 1 to M.
        count: number of moments.
        size: width and height of the image that 2D joints are relative to; None if unknown.
        yaw: turn about the vertical axis in radians, so that depth is visible.
        height: height of the strip in SVG units.
    """
    if not len(joints):
        return ""
    frames = np.unique(np.linspace(0, len(joints) - 1, count + 2)[1:-1].round().astype(int))
    shown = np.asarray(joints, dtype=np.float64)[frames, :bodies]  # (M, bodies, V, 3)
    present = np.abs(shown).sum(axis=(2, 3)) > 0  # (M, bodies)
    if not present.any():
        return ""
    flat = flattened(shown, layout, yaw, size)
    low, high = extent(flat[present])
    scale = min(
        (height - 20) / max(high[1] - low[1], 0.3), 1.5 * height / max(high[0] - low[0], 0.3)
    )
    width = max((high[0] - low[0]) * scale + 14, 0.62 * height)
    parts = []
    for place in range(len(frames)):
        offset = np.array(
            [
                place * width + width / 2 - (low[0] + high[0]) / 2 * scale,
                height - 4 - high[1] * scale,
            ]
        )
        for body in range(bodies):
            if present[place, body]:
                points = flat[place, body] * scale + offset
                parts.append(f'<g class="body{body}">{_paths(points, layout)}</g>')
    total = width * len(frames)
    y = f"{height - 2:.0f}"
    ground = f'<line class="ground" x1="0" x2="{total:.0f}" y1="{y}" y2="{y}"/>'
    opening = f'<svg class="moments" role="img" aria-label="The skeleton at {len(frames)} moments"'
    return f'{opening} viewBox="0 0 {total:.0f} {height:.0f}">{ground}{"".join(parts)}</svg>'


def over_frame(
    colour: NDArray[np.floating],
    layout: SkeletonLayout,
    size: tuple[int, int],
    width: int,
    height: int,
) -> str:
    """Draw the joints of one frame as SVG paths in the pixels of a video of any size.

    Args:
        colour: (M, V, 2), pixels of an image, NaN where absent.
        layout: their skeleton.
        size: width and height of that image.
        width: width of the video in pixels.
        height: height of the video in pixels.
    """
    scaled = on_video(colour.astype(np.float64), size, width, height)
    drawn = "".join(f"<g>{_paths(body, layout)}</g>" for body in scaled if np.isfinite(body).any())
    return f'<g class="joints">{drawn}</g>' if drawn else ""


def _paths(points: NDArray[np.floating], layout: SkeletonLayout) -> str:
    """One path for each side of the body and a circle for the head, from (V, 2) points.

    A bone with an absent end is left out.
    """
    ends: dict[str, list[str]] = {side: [] for side in SIDES}
    for side, (a, b) in lines(points, layout):
        ends[side].append(f"M{a[0]:.1f} {a[1]:.1f}L{b[0]:.1f} {b[1]:.1f}")
    drawn = "".join(
        f'<path class="{side}" d="{"".join(line)}"/>' for side, line in ends.items() if line
    )
    circle = head(points, layout)
    if circle is None:
        return drawn
    x, y, radius = circle
    return f'{drawn}<circle class="head" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>'
