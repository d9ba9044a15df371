"""A skeleton as lines on a plane: what every drawing of one shares."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from c2vl.models.graph import NTU25

BONES = [(child, parent) for child, parent in enumerate(NTU25.parents) if child != parent]
# 0-based joints by side of the body; a bone belongs to the side of its child.
_LEFT, _RIGHT = {4, 5, 6, 7, 12, 13, 14, 15, 21, 22}, {8, 9, 10, 11, 16, 17, 18, 19, 23, 24}
SIDES = {"left": _LEFT, "right": _RIGHT, "middle": set(range(25)) - _LEFT - _RIGHT}
HEAD, NECK = 3, 2
YAW = 0.35  # radians about the vertical axis, so that depth is seen


def flattened(joints: NDArray[np.floating], yaw: float = YAW) -> NDArray[np.float64]:
    """Turn (..., 3) metres about the vertical axis and drop depth: (..., 2), y down."""
    joints = np.asarray(joints, dtype=np.float64)
    return np.stack(
        [joints[..., 0] * np.cos(yaw) + joints[..., 2] * np.sin(yaw), -joints[..., 1]], axis=-1
    )


def lines(points: NDArray[np.floating]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """(side, (2, 2) ends) of each bone of (25, 2) points whose ends are both known."""
    for child, parent in BONES:
        ends = np.asarray(points[[parent, child]], dtype=np.float64)
        if np.isfinite(ends).all():
            yield next(side for side, joints in SIDES.items() if child in joints), ends


def head(points: NDArray[np.floating]) -> tuple[float, float, float] | None:
    """(x, y, radius) of a circle about the head, half as wide as the neck bone is long.

    None where it is not known.
    """
    at, neck = points[HEAD], points[NECK]
    if not np.isfinite([at, neck]).all():
        return None
    return float(at[0]), float(at[1]), 0.55 * float(np.hypot(*(at - neck)))
