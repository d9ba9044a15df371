"""What a skeleton file holds, before it is fitted to the data set's skeleton."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from c2vl.datasets.skeleton_file import FARTHEST, MAX_FRAMES, SkeletonError

MOST_PERSONS = 64  # in a file; more is damage, or the axes are in another order
MOST_JOINTS = 1000
FEW = 4  # a first axis of so many at most, and a longer second one, are persons and frames


@dataclass(frozen=True)
class Recording:
    """The people of one file.

    Attributes:
        joints: (T, M, V, C) float32, in the file's unit; NaN or zero where somebody is absent.
        scored: whether the format says that they are x, y and a score.
    """

    joints: np.ndarray
    scored: bool = False


def recording(values: Any, followed: bool = False) -> Recording:
    """Check numbers (T, M, V, C) or (T, V, C), an array or nested lists.

    pyskl's order (M, T, V, C) is recognised by the sizes of the axes.

    Args:
        values: the numbers.
        followed: whether their order is known to be (T, M, V, C).

    Raises:
        SkeletonError: they are no such numbers; infinite and absurd ones are none either.
    """
    try:
        joints = np.asarray(values)
        if joints.dtype.kind not in "fiu":
            joints = joints.astype(np.float64) if joints.dtype == object else joints.astype("V")
    except (ValueError, TypeError, OverflowError):
        raise SkeletonError(
            "its joints are no numbers (T, M, V, C) or (T, V, C): lists of different lengths, "
            "or something else than numbers"
        ) from None
    if joints.dtype.kind not in "fiu":
        raise SkeletonError(f"its joints are {joints.dtype}, no numbers")
    if joints.ndim == 3:
        joints = joints[:, None]
    if joints.ndim != 4 or 0 in joints.shape or not 2 <= joints.shape[3] <= 4:
        raise SkeletonError(
            f"its joints have shape {joints.shape}, not (T, M, V, C) or (T, V, C) "
            "with 2 to 4 numbers a joint"
        )
    if not followed and joints.shape[0] <= FEW < joints.shape[1]:
        joints = joints.swapaxes(0, 1)
    frames, persons, count, _ = joints.shape
    if frames > MAX_FRAMES or count > MOST_JOINTS:
        raise SkeletonError(f"it has absurdly many frames or joints: {joints.shape}")
    if persons > MOST_PERSONS or (persons > max(frames, FEW) and not followed):
        raise SkeletonError(
            f"it has {persons} persons in {frames} frames: the order of the axes is "
            "frames, persons, joints, coordinates"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        joints = np.ascontiguousarray(joints, np.float32)
    if (np.abs(np.nan_to_num(joints, posinf=np.inf)) > FARTHEST).any():
        raise SkeletonError("joint coordinates are infinite or absurd")
    return Recording(joints)
