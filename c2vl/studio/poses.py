"""Names for what the limbs of a person do in a frame, read off the joints."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from c2vl.studio.anatomy import ELBOW, FOOT, HAND, SHOULDER, Joint

POSES = (
    "with the arms down",
    "with one arm raised",
    "with both arms raised",
    "with a hand near the face",
    "with one hand in front of the chest",
    "with both hands in front of the body",
    "with one arm stretched out",
    "with both arms stretched out",
    "leaning forward",
    "with one foot off the floor",
)


def pose_of(joints: NDArray[np.float64]) -> str:
    """The name in `POSES` for joints (25, 3) in metres, y up."""
    trunk = joints[Joint.SPINE_SHOULDER] - joints[Joint.SPINE_BASE]
    trunk = trunk / np.linalg.norm(trunk)
    if trunk[1] < np.cos(np.deg2rad(33)):
        return "leaning forward"
    feet = joints[list(FOOT), 1]
    if abs(feet[0] - feet[1]) > 0.14:
        return "with one foot off the floor"
    places = [_place(joints, side, trunk) for side in (0, 1)]
    for place, one, both in (
        ("up", "with one arm raised", "with both arms raised"),
        ("face", "with a hand near the face", "with a hand near the face"),
        ("out", "with one arm stretched out", "with both arms stretched out"),
        ("front", "with one hand in front of the chest", "with both hands in front of the body"),
    ):
        if place in places:
            return both if places[0] == places[1] else one
    return "with the arms down"


def _place(joints: NDArray[np.float64], side: int, trunk: NDArray[np.float64]) -> str:
    """Where a hand is: up, face, out, front, or down."""
    shoulder, hand = joints[SHOULDER[side]], joints[HAND[side]]
    arm = float(
        np.linalg.norm(joints[ELBOW[side]] - shoulder) + np.linalg.norm(hand - joints[ELBOW[side]])
    )
    way = (hand - shoulder) / arm
    lifted = float(way @ trunk)
    if hand[1] > joints[Joint.HEAD, 1] + 0.04:
        return "up"
    if np.linalg.norm(hand - joints[Joint.HEAD]) < 0.27:
        return "face"
    if lifted > -0.45 and np.linalg.norm(way) > 0.82:
        return "out"
    return "front" if lifted > -0.62 else "down"
