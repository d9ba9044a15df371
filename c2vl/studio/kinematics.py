"""Turns a motion and a body into 25 joints: a torso, and arms and legs of two bones each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from c2vl.studio.anatomy import (
    ANKLE,
    ELBOW,
    FOOT,
    HAND,
    HAND_TIP,
    HIP,
    KNEE,
    SHOULDER,
    THUMB,
    WRIST,
    Body,
    Joint,
)
from c2vl.studio.motion import Motion

Points = NDArray[np.float64]  # (T, 3), or (T, 25, 3)
SEAT_HEIGHT = 0.47


def _unit(v: Points) -> Points:
    return v / (np.linalg.norm(v, axis=-1, keepdims=True) + 1e-9)


def two_bones(
    root: Points, target: Points, first: float, second: float, pole: Points
) -> tuple[Points, Points]:
    """Place a limb of two bones that reaches from `root` towards `target`.

    Args:
        root: (T, 3) first end.
        target: (T, 3) where the other end should be.
        first: length of the first bone.
        second: length of the second bone.
        pole: (T, 3) direction to which the limb bends.

    Returns:
        The middle and the end of the limb, (T, 3) each.
    """
    way = target - root
    distance = np.linalg.norm(way, axis=-1, keepdims=True)
    reach = np.clip(distance, abs(first - second) * 1.02 + 1e-6, 0.998 * (first + second))
    along = way / (distance + 1e-9)
    x = (first**2 - second**2 + reach**2) / (2 * reach)
    height = np.sqrt(np.maximum(first**2 - x**2, 0.0))
    side = _unit(pole - along * (pole * along).sum(-1, keepdims=True))
    return root + along * x + side * height, root + along * reach


def _euler(x: Points, y: Points, z: Points) -> Rotation:
    return Rotation.from_euler("YZX", np.stack([y, z, x], -1))


def articulate(body: Body, motion: Motion) -> Points:
    """Joints (T, 25, 3) in metres, in the body's frame: x left, y up from the floor, z forward."""
    m, n = motion, len(motion.t)
    joints = np.zeros((n, 25, 3))
    ankle_height = 0.045 * body.height
    standing = body.leg * 0.985 + ankle_height
    pelvis = np.zeros((n, 3))
    pelvis[:, 1] = (standing - 0.42 * body.leg * m.crouch) * (1 - m.seat) + SEAT_HEIGHT * m.seat
    pelvis[:, 2] = (
        -0.92 * body.thigh * m.seat
        - 0.22 * body.height * np.sin(np.clip(m.lean, 0, 1.4)) * (1 - m.seat) * 0.6
    )
    pelvis[:, 2] += m.step
    # The pelvis tips less than the chest, so a bow bends the back instead of folding the body.
    low = _euler(m.lean * 0.8, m.twist * 0.5, m.sway * 0.6)
    chest = _euler(m.lean, m.twist, m.sway)
    look = _euler(m.lean * 0.7 + m.nod, m.twist * 0.6 + m.turn, m.sway * 0.5)
    # With `follow` = 0 the arms hang down even if the chest leans.
    arms = _euler(m.lean * m.follow, m.twist, m.sway)
    up = np.array([0.0, 1.0, 0.0])
    middle = pelvis + low.apply(up) * body.torso * 0.5
    top = middle + chest.apply(up) * body.torso * 0.5
    joints[:, Joint.SPINE_BASE], joints[:, Joint.SPINE_MID], joints[:, Joint.SPINE_SHOULDER] = (
        pelvis,
        middle,
        top,
    )
    neck = top + chest.apply(up) * body.neck
    joints[:, Joint.NECK] = neck
    joints[:, Joint.HEAD] = neck + look.apply(np.array([0.0, 1.0, 0.12])) * body.head
    for side, out in ((0, 1.0), (1, -1.0)):
        shoulder = top + chest.apply(np.array([out * body.shoulder, -0.015 * body.height, 0.0]))
        target = shoulder + arms.apply(m.hands[:, side] * np.array([out, 1.0, 1.0])) * body.arm
        # The hand reaches, not the wrist: forearm and hand are one bone.
        pole = arms.apply(np.array([out * 0.75, -0.65, -0.45]))
        elbow, hand = two_bones(shoulder, target, body.upper_arm, body.forearm + body.hand, pole)
        direction = _unit(hand - elbow)
        wrist = elbow + direction * body.forearm
        joints[:, SHOULDER[side]], joints[:, ELBOW[side]], joints[:, WRIST[side]] = (
            shoulder,
            elbow,
            wrist,
        )
        joints[:, HAND[side]] = hand
        joints[:, HAND_TIP[side]] = hand + direction * body.hand * 0.8
        inward = chest.apply(np.array([-out * 0.03, 0.01, 0.03]))
        joints[:, THUMB[side]] = joints[:, HAND[side]] + inward
        hip = pelvis + low.apply(np.array([out * body.hip, -0.01, 0.0]))
        stance = np.array([out * body.hip * 1.35, ankle_height, 0.0])
        foot = stance + m.feet[:, side] * np.array([out, 1.0, 1.0]) * body.leg
        knee, ankle = two_bones(
            hip, foot, body.thigh, body.shin, np.tile([out * 0.12, 0.15, 1.0], (n, 1))
        )
        shin = _unit(ankle - knee)
        lifted = np.clip(m.feet[:, side, 1:2] * 2.0, 0.0, 1.0)
        toe = _unit(
            (1 - lifted) * np.array([out * 0.18, -0.28, 1.0])
            + lifted * (shin + np.array([0.0, 0.9, 0.6]))
        )
        joints[:, HIP[side]], joints[:, KNEE[side]], joints[:, ANKLE[side]] = hip, knee, ankle
        joints[:, FOOT[side]] = ankle + toe * body.foot
    return joints


def place(joints: Points, yaw: float, position: Points) -> Points:
    """Turn joints (T, 25, 3) by `yaw` radians about y and move them to `position` (3,)."""
    return joints @ Rotation.from_euler("y", yaw).as_matrix().T + position
