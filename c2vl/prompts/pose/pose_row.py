"""The people of a clip as a row of the skeleton table."""

from __future__ import annotations

import numpy as np

from c2vl.datasets.skeleton_file import SkeletonError
from c2vl.datasets.skeletons.listed_clip import image_row
from c2vl.prompts.pose.find_joints import Poses
from c2vl.store.stage import Failure, Row


def pose_row(poses: Poses, frames: int, persons: int) -> Row | Failure:
    """The row of a clip.

    Args:
        poses: its people.
        frames: of the clip in its video; joints may be those of fewer.
        persons: slots of the skeleton.
    """
    try:
        row = image_row(in_slots(poses.joints, persons), poses.size, poses.seen)
    except (SkeletonError, ValueError) as error:
        return Failure("unusable", str(error))
    note = f"{poses.undecoded} frames of the video do not decode" if poses.undecoded else ""
    return {**row, "file_frames": frames, "note": note or row["note"]}


def in_slots(joints: np.ndarray, persons: int) -> np.ndarray:
    """Joints (F, P, 17, 3) of P people at most in `persons` slots; empty ones hold zeros."""
    slots = np.zeros((len(joints), persons, *joints.shape[2:]), np.float32)
    slots[:, : joints.shape[1]] = joints
    return slots
