"""Further actions, which make a world of 32 classes: `studio.actions: all` has them too.

Eight are those of the other world (`c2vl.studio.other`). An observer names them with the phrases
that the first world has, so the captioner knows the words.
"""

from __future__ import annotations

import numpy as np

from c2vl.studio.motion import Curve, Motion, Style
from c2vl.studio.other import PAIR, SOLO, TURN, near, posed
from c2vl.studio.pair import PairAction
from c2vl.studio.solo import Action


def put_on_a_hat(t: Curve, style: Style) -> Motion:
    """Lift both hands over the head and lower them to its sides."""
    m, w = posed(t, style)
    lower = w * np.clip((t - style.onset) / max(0.95 - style.onset, 0.1), 0, 1)
    for side in (0, 1):
        spot = near(style, (-0.16, 0.98, 0.10), 0.04)
        m.reach(side, spot + lower[:, None] * np.array([0.0, -0.46, 0.0]), w)
    m.nod += 0.15 * w
    return m


def cheer(t: Curve, style: Style) -> Motion:
    """Throw both arms up several times, and bend the knees between."""
    m, w = posed(t, style)
    beat = 0.5 - 0.5 * np.cos(TURN * 2.6 * style.rate * (t - style.onset))
    for side in (0, 1):
        low, high = near(style, (0.25, 0.25, 0.25)), np.array([0.40, 0.95, 0.10])
        m.reach(side, low + beat[:, None] * (high - low), w)
    m.crouch += 0.35 * style.amplitude * w * (1 - beat)
    return m


def knock(t: Curve, style: Style) -> Motion:
    """Move the bent arm to and fro in front of the shoulder, quickly."""
    m, w = posed(t, style)
    beat = 0.5 - 0.5 * np.cos(TURN * 5.0 * style.rate * (t - style.onset))
    path = near(style, (-0.05, 0.12, 0.50)) + beat[:, None] * np.array([0.0, 0.05, 0.26])
    m.reach(style.main, path, w)
    m.lean += 0.06 * w
    return m


def rub_the_hands(t: Curve, style: Style) -> Motion:
    """Rub both hands against each other in front of the belly."""
    m, w = posed(t, style)
    slide = 0.10 * style.amplitude * np.sin(TURN * 4.0 * style.rate * (t - style.onset))
    for side, sign in ((0, 1.0), (1, -1.0)):
        spot = near(style, (-0.29, -0.32, 0.46), 0.02)
        m.reach(side, spot + sign * slide[:, None] * np.array([0.0, 0.3, 1.0]), w)
    m.nod += 0.12 * w
    return m


FURTHER: dict[str, tuple[str, Action | PairAction]] = {
    "squat": ("bend", SOLO["squat"]),
    "salute": ("head", SOLO["salute"]),
    "stretch": ("raise", SOLO["stretch"]),
    "march on the spot": ("leg", SOLO["march on the spot"]),
    "cross the arms": ("together", SOLO["cross the arms"]),
    "check the time": ("hands", SOLO["check the time"]),
    "put on a hat": ("head", put_on_a_hat),
    "cheer": ("raise", cheer),
    "knock": ("reach", knock),
    "rub the hands": ("together", rub_the_hands),
    "high five": ("exchange", PAIR["high five"]),
    "hug": ("exchange", PAIR["hug"]),
}
"""Gesture that an observer names, a key of `PHRASES`, and motion of each class."""


def further_motion(action: str) -> Action | PairAction:
    """The motion of a further class, whose frames show its gesture."""
    gesture, of = FURTHER[action]

    def one(t: Curve, style: Style) -> Motion:
        motion = of(t, style)  # type: ignore[call-arg]
        assert isinstance(motion, Motion)
        motion.gesture = gesture
        return motion

    def two(t: Curve, first: Style, second: Style) -> tuple[Motion, Motion]:
        motions = of(t, first, second)  # type: ignore[call-arg]
        assert isinstance(motions, tuple)
        for motion in motions:
            motion.gesture = gesture
        return motions

    return two if action in PAIR else one
