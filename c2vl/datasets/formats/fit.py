"""Fit a recording to the skeleton of the data set: joints, coordinates, persons."""

from __future__ import annotations

import numpy as np

from c2vl.core.layout import SkeletonLayout
from c2vl.datasets.formats.persons import choose_persons
from c2vl.datasets.formats.recording import Recording
from c2vl.datasets.skeleton_file import SkeletonError


class OtherSkeletonError(SkeletonError):
    """The file has another number of joints or of coordinates than the skeleton."""


def fitted(recording: Recording, layout: SkeletonLayout) -> np.ndarray:
    """Return (T, M, V, 3) float32 as `layout` describes it; zero where somebody is absent.

    A person without any number in a frame (NaN) is absent there. In 2D, a joint without numbers
    gets the score 0, and joints without scores get 1. In 3D, a fourth number (a score) is dropped.

    Raises:
        OtherSkeletonError: the file has another number of joints or coordinates.
        SkeletonError: a 3D joint has no numbers, or nobody is there.
    """
    joints = recording.joints
    _, _, count, numbers = joints.shape
    if count != layout.count:
        raise OtherSkeletonError(
            f"it has {count} joints (its shape is {joints.shape}), the skeleton {layout.name} has "
            f"{layout.count}"
        )
    if (numbers == 2 or recording.scored) and layout.three_d:
        what = "x, y and a score" if recording.scored else "2 numbers"
        raise OtherSkeletonError(f"a joint has {what}, the skeleton {layout.name} is 3D")
    if numbers == 4 and not layout.three_d:
        raise OtherSkeletonError(
            f"a joint has 4 numbers, the skeleton {layout.name} is 2D: x, y and a score"
        )
    joints = _in_space(joints) if layout.three_d else _in_image(joints)
    if not joints.any():
        raise SkeletonError("the clip holds no joints, only zeros or NaN")
    return choose_persons(joints, layout.persons, scored=not layout.three_d)


def _in_space(joints: np.ndarray) -> np.ndarray:
    joints = joints[..., :3].copy()
    lacking = np.isnan(joints)
    absent = lacking.all(axis=(2, 3))
    joints[absent] = 0
    if np.isnan(joints).any():
        frame, _, joint, _ = np.argwhere(np.isnan(joints))[0]
        raise SkeletonError(
            f"joint {joint} has no position in frame {frame} (NaN); fill such gaps, or make the "
            "whole person NaN there"
        )
    return joints


def _in_image(joints: np.ndarray) -> np.ndarray:
    if joints.shape[3] == 2:
        found = ~np.isnan(joints).any(axis=3) & joints.any(axis=3)
        joints = np.concatenate([joints, found[..., None]], axis=3, dtype=np.float32)
    else:
        joints = joints.copy()
    joints[np.isnan(joints).any(axis=3)] = 0
    joints[..., 2] = np.clip(joints[..., 2], 0, None)
    joints[joints[..., 2] == 0] = 0
    return joints
