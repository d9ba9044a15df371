"""Guess the shipped skeleton of a file, from its joints."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from c2vl.datasets.formats.read import read_recording
from c2vl.datasets.raw_files import PlaceError
from c2vl.datasets.scan import SKELETON
from c2vl.datasets.skeleton_file import SkeletonError

FLAT = {17: "coco17", 18: "openpose18", 25: "openpose25"}
SPACE = {
    17: "h36m17",
    20: "kinect20",
    22: "smpl22",
    24: "smpl24",
    25: "ntu25",
    32: "azure32",
    33: "mediapipe33",
}


def guess_layout(raw: Path, place: str) -> tuple[str | None, str]:
    """(name of a shipped skeleton or None, what the file holds or why it cannot be read).

    Three numbers a joint are x, y and a score where the third is from 0 to 1 and the others go
    beyond; else a place in space.
    """
    if place.lower().endswith(SKELETON):
        return "ntu25", f"{place} is a .skeleton file of NTU RGB+D's"
    try:
        joints = read_recording(raw, place)[0].joints
    except (SkeletonError, PlaceError, OSError) as error:
        return None, f"{place} cannot be read: {error}"
    frames, persons, count, numbers = joints.shape
    flat = numbers == 2 or (numbers == 3 and _scored(joints))
    told = f"{place} holds {frames} frames, {persons} persons, {count} joints of {numbers} numbers"
    return (FLAT if flat else SPACE).get(count), told


def _scored(joints: np.ndarray) -> bool:
    known = joints[~np.isnan(joints).any(axis=-1)]
    third, others = known[:, 2], np.abs(known[:, :2])
    return bool(len(known) and third.min() >= 0 and third.max() <= 1 and others.max() > 2)
