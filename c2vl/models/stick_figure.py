"""A skeleton as lines on a plane: what every drawing of one shares."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from c2vl.core.layout import SEEN, SIDES, SkeletonLayout

__all__ = ["SIDES", "YAW", "extent", "flattened", "head", "lines"]

YAW = 0.35  # radians about the vertical axis, so that depth is seen
WIDE = (16, 9)  # shape of an image of unknown size


def flattened(
    joints: NDArray[np.floating],
    layout: SkeletonLayout,
    yaw: float = YAW,
    size: tuple[int, int] | None = None,
) -> NDArray[np.float64]:
    """Joints (..., V, 3) on a plane: (..., V, 2), y down.

    3D joints are turned about the vertical axis and lose their depth; the unit stays metres. 2D
    joints are in units of half the image's height, NaN where they are not seen.

    Args:
        joints: of the skeleton `layout`.
        yaw: angle of the turn in radians.
        size: width and height of the image that 2D joints are relative to, None if unknown.
    """
    joints = np.asarray(joints, dtype=np.float64)
    if not layout.three_d:
        width, height = size or WIDE
        points = np.stack([joints[..., 0] * (width / height), joints[..., 1]], axis=-1)
        return np.where(joints[..., 2:] > SEEN, points, np.nan)
    return np.stack(
        [joints[..., 0] * np.cos(yaw) + joints[..., 2] * np.sin(yaw), -joints[..., 1]], axis=-1
    )


def extent(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest x and y of the known points (..., 2); zeros where none is known."""
    flat = points.reshape(-1, 2)
    known = flat[np.isfinite(flat).all(axis=1)]
    return (known.min(axis=0), known.max(axis=0)) if len(known) else (np.zeros(2), np.zeros(2))


def lines(
    points: NDArray[np.floating], layout: SkeletonLayout
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """(side, (2, 2) ends) of each bone of (V, 2) points whose ends are both known.

    A bone belongs to the side of its child.
    """
    for child, parent in layout.bones:
        ends = np.asarray(points[[parent, child]], dtype=np.float64)
        if np.isfinite(ends).all():
            yield layout.side(child), ends


def head(points: NDArray[np.floating], layout: SkeletonLayout) -> tuple[float, float, float] | None:
    """(x, y, radius) of a circle about the head, half as wide as the neck bone is long.

    None where it is not known.
    """
    if layout.head is None:
        return None
    at, neck = points[layout.head[0]], points[layout.head[1]]
    if not np.isfinite([at, neck]).all():
        return None
    return float(at[0]), float(at[1]), 0.55 * float(np.hypot(*(at - neck)))
