"""The 25 joints of Kinect v2 in NTU RGB+D's order, and bodies of different proportions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Joint(IntEnum):
    """A joint of NTU RGB+D, counted from 0 (the papers of the data set count from 1)."""

    SPINE_BASE = 0
    SPINE_MID = 1
    NECK = 2
    HEAD = 3
    SHOULDER_LEFT = 4
    ELBOW_LEFT = 5
    WRIST_LEFT = 6
    HAND_LEFT = 7
    SHOULDER_RIGHT = 8
    ELBOW_RIGHT = 9
    WRIST_RIGHT = 10
    HAND_RIGHT = 11
    HIP_LEFT = 12
    KNEE_LEFT = 13
    ANKLE_LEFT = 14
    FOOT_LEFT = 15
    HIP_RIGHT = 16
    KNEE_RIGHT = 17
    ANKLE_RIGHT = 18
    FOOT_RIGHT = 19
    SPINE_SHOULDER = 20
    HAND_TIP_LEFT = 21
    THUMB_LEFT = 22
    HAND_TIP_RIGHT = 23
    THUMB_RIGHT = 24


LEFT, RIGHT = 0, 1
SHOULDER = (Joint.SHOULDER_LEFT, Joint.SHOULDER_RIGHT)
ELBOW = (Joint.ELBOW_LEFT, Joint.ELBOW_RIGHT)
WRIST = (Joint.WRIST_LEFT, Joint.WRIST_RIGHT)
HAND = (Joint.HAND_LEFT, Joint.HAND_RIGHT)
HAND_TIP = (Joint.HAND_TIP_LEFT, Joint.HAND_TIP_RIGHT)
THUMB = (Joint.THUMB_LEFT, Joint.THUMB_RIGHT)
HIP = (Joint.HIP_LEFT, Joint.HIP_RIGHT)
KNEE = (Joint.KNEE_LEFT, Joint.KNEE_RIGHT)
ANKLE = (Joint.ANKLE_LEFT, Joint.ANKLE_RIGHT)
FOOT = (Joint.FOOT_LEFT, Joint.FOOT_RIGHT)


@dataclass(frozen=True)
class Body:
    """Segment lengths of one person in metres; `girth` scales the thickness of drawn limbs."""

    height: float
    thigh: float
    shin: float
    torso: float
    neck: float
    head: float
    shoulder: float
    hip: float
    upper_arm: float
    forearm: float
    hand: float
    foot: float
    girth: float

    @property
    def arm(self) -> float:
        """Length from shoulder to wrist in metres."""
        return self.upper_arm + self.forearm

    @property
    def leg(self) -> float:
        """Length from hip to ankle in metres."""
        return self.thigh + self.shin


def random_body(rng: np.random.Generator) -> Body:
    """Draw a random adult body; each segment is within a few per cent of its usual share."""
    height = rng.uniform(1.52, 1.94)

    def share(mean: float, spread: float = 0.05) -> float:
        return height * mean * rng.uniform(1 - spread, 1 + spread)

    return Body(
        height=height,
        thigh=share(0.245),
        shin=share(0.242),
        torso=share(0.288),
        neck=share(0.045),
        head=share(0.09),
        shoulder=share(0.112, 0.12),
        hip=share(0.052, 0.12),
        upper_arm=share(0.172),
        forearm=share(0.15),
        hand=share(0.045),
        foot=share(0.105),
        girth=rng.uniform(0.85, 1.22),
    )
