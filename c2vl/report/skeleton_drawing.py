"""Skeletons as SVG: the 3D joints at a few moments, and the colour joints over a video frame."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from c2vl.skeletons.graph import NTU25

# 0-based joints by side of the body; a bone belongs to the side of its child.
_LEFT, _RIGHT = {4, 5, 6, 7, 12, 13, 14, 15, 21, 22}, {8, 9, 10, 11, 16, 17, 18, 19, 23, 24}
_BONES = [(child, parent) for child, parent in enumerate(NTU25.parents) if child != parent]
SIDES = {"left": _LEFT, "right": _RIGHT, "middle": set(range(25)) - _LEFT - _RIGHT}
HEAD, NECK = 3, 2
COLOUR_FRAME = (1920, 1080)  # the frame that NTU's colour joints are given in, whatever size the video has now


def moments(joints: NDArray[np.floating], bodies: int, count: int, yaw: float = 0.35, height: float = 96.0) -> str:
    """Draw the skeleton at `count` moments, evenly spread over the clip, as one SVG strip.

    Args:
        joints: (T, 2, 25, 3), metres, y up.
        bodies: real actors, 1 or 2.
        count: moments.
        yaw: turn about the vertical axis, radians, so that depth is seen.
        height: of the strip, in its own units.
    """
    if not len(joints):
        return ""
    frames = np.unique(np.linspace(0, len(joints) - 1, count + 2)[1:-1].round().astype(int))
    shown = np.asarray(joints, dtype=np.float64)[frames, :bodies]  # (M, bodies, 25, 3)
    present = np.abs(shown).sum(axis=(2, 3)) > 0  # (M, bodies)
    if not present.any():
        return ""
    flat = np.stack([shown[..., 0] * np.cos(yaw) + shown[..., 2] * np.sin(yaw), -shown[..., 1]], axis=-1)
    low, high = flat[present].reshape(-1, 2).min(axis=0), flat[present].reshape(-1, 2).max(axis=0)
    scale = min((height - 20) / max(high[1] - low[1], 0.3), 1.5 * height / max(high[0] - low[0], 0.3))
    width = max((high[0] - low[0]) * scale + 14, 0.62 * height)
    parts = []
    for place in range(len(frames)):
        offset = np.array([place * width + width / 2 - (low[0] + high[0]) / 2 * scale, height - 4 - high[1] * scale])
        for body in range(bodies):
            if present[place, body]:
                parts.append(f'<g class="body{body}">{_paths(flat[place, body] * scale + offset)}</g>')
    total = width * len(frames)
    ground = f'<line class="ground" x1="0" x2="{total:.0f}" y1="{height - 2:.0f}" y2="{height - 2:.0f}"/>'
    opening = f'<svg class="moments" role="img" aria-label="The skeleton at {len(frames)} moments"'
    return f'{opening} viewBox="0 0 {total:.0f} {height:.0f}">{ground}{"".join(parts)}</svg>'


def over_frame(colour: NDArray[np.floating], width: int, height: int) -> str:
    """Draw the colour joints of one frame as SVG paths in the pixels of a video of any size.

    Args:
        colour: (2, 25, 2), pixels of the 1920×1080 frame, NaN where absent.
        width: of the video.
        height: of the video.
    """
    scaled = np.asarray(colour, dtype=np.float64) * (width / COLOUR_FRAME[0], height / COLOUR_FRAME[1])
    drawn = "".join(f"<g>{_paths(body)}</g>" for body in scaled if np.isfinite(body).any())
    return f'<g class="joints">{drawn}</g>' if drawn else ""


def _paths(points: NDArray[np.floating]) -> str:
    """One path a side of the body and a circle for the head, from (25, 2) points; bones with an absent end are left out."""
    lines = "".join(f'<path class="{side}" d="{line}"/>' for side, joints in SIDES.items() if (line := _lines(points, joints)))
    return lines + _head(points)


def _head(points: NDArray[np.floating]) -> str:
    """A circle about the head, half as wide as the neck bone is long."""
    head, neck = points[HEAD], points[NECK]
    if not np.isfinite([head, neck]).all():
        return ""
    return f'<circle class="head" cx="{head[0]:.1f}" cy="{head[1]:.1f}" r="{0.55 * np.hypot(*(head - neck)):.1f}"/>'


def _lines(points: NDArray[np.floating], joints: Iterable[int]) -> str:
    wanted = set(joints)
    ends = [(points[parent], points[child]) for child, parent in _BONES if child in wanted]
    known = [(a, b) for a, b in ends if np.isfinite(a).all() and np.isfinite(b).all()]
    return "".join(f"M{a[0]:.1f} {a[1]:.1f}L{b[0]:.1f} {b[1]:.1f}" for a, b in known)
