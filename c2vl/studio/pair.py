"""The two-person actions: one person acts, the other reacts, about a metre apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from c2vl.studio.motion import Curve, Motion, Style, ease, hold

PairAction = Callable[[Curve, Style, Style], tuple[Motion, Motion]]


def _two(t: Curve, gesture: str) -> tuple[Motion, Motion]:
    return Motion(t, gesture=gesture), Motion(t, gesture=gesture)


def shake_hands(t: Curve, a: Style, b: Style) -> tuple[Motion, Motion]:
    """Both reach out and shake their acting hands."""
    first, second = _two(t, "exchange")
    end = a.rng.uniform(0.75, 0.92)
    shake = 0.10 * np.sin(2 * np.pi * 3.4 * a.rate * t) * a.amplitude
    for motion, style, late in ((first, a, 0.0), (second, b, a.rng.uniform(0.0, 0.08))):
        w = hold(t, a.onset + late, a.onset + late + 0.2, end - 0.18, end)
        path = np.array([-0.24, -0.34, 0.72]) + shake[:, None] * np.array([0.0, 1.0, 0.1])
        motion.reach(style.main, path, w)
        motion.lean += 0.08 * w
        motion.strength = w
    return first, second


def hand_over_an_object(t: Curve, a: Style, b: Style) -> tuple[Motion, Motion]:
    """The first reaches out; the second takes the object and draws the hand back."""
    first, second = _two(t, "exchange")
    meet = a.onset + a.rng.uniform(0.30, 0.40)
    give = hold(t, a.onset, meet - 0.06, meet + 0.04, meet + 0.26)
    take = hold(t, a.onset + 0.10, meet, meet + 0.08, meet + 0.34)
    first.reach(a.main, np.array([-0.20, -0.26, 0.80]), give)
    second.reach(b.main, np.array([-0.20, -0.28, 0.72]), take)
    second.reach(b.main, np.array([-0.10, -0.45, 0.45]), ease(t, meet + 0.1, meet + 0.35))
    first.strength = second.strength = np.maximum(give, take)
    return first, second


def punch_somebody(t: Curve, a: Style, b: Style) -> tuple[Motion, Motion]:
    """The first strikes once or twice; the second leans back and lifts the arms."""
    first, second = _two(t, "strike")
    guard = hold(t, a.onset - 0.04, a.onset + 0.10, 0.82, 0.97)
    for side in (0, 1):
        first.reach(side, np.array([-0.12, 0.0, 0.42]), guard)
    hit = np.zeros_like(t)
    for k in range(int(a.rng.integers(1, 3))):
        at = a.onset + 0.22 + 0.24 * k
        blow = hold(t, at, at + 0.08 / a.rate, at + 0.11, at + 0.22)
        first.reach(a.main if k % 2 == 0 else a.other, np.array([-0.30, 0.14, 1.0]), blow)
        hit = np.maximum(hit, blow)
    first.lean += 0.12 * hit
    first.twist += (0.25 if a.main else -0.25) * hit
    recoil = np.interp(t - 0.03, t, hit)
    second.lean -= 0.22 * recoil * b.amplitude
    second.nod -= 0.25 * recoil
    for side in (0, 1):
        second.reach(side, np.array([-0.05, 0.05, 0.45]), 0.7 * recoil)
    first.strength = second.strength = np.maximum(hit, 0.6 * guard)
    return first, second


def push_somebody(t: Curve, a: Style, b: Style) -> tuple[Motion, Motion]:
    """The first pushes with both hands; the second steps back."""
    first, second = _two(t, "strike")
    at = a.onset + a.rng.uniform(0.18, 0.28)
    draw = hold(t, a.onset, at - 0.03, at, at + 0.08)
    shove = hold(t, at, at + 0.14, at + 0.22, at + 0.45)
    for side in (0, 1):
        first.reach(side, np.array([-0.10, -0.12, 0.35]), draw)
        first.reach(side, np.array([-0.14, -0.02, 0.92]), shove)
    first.lean += 0.26 * shove * a.amplitude
    first.step += 0.14 * shove
    away = ease(t, at + 0.07, at + 0.30)
    second.step -= a.rng.uniform(0.22, 0.40) * away
    second.lean -= 0.20 * hold(t, at + 0.06, at + 0.16, at + 0.2, at + 0.42)
    swing = hold(t, at + 0.06, at + 0.18, at + 0.22, at + 0.5)
    for side in (0, 1):
        second.reach(side, np.array([0.35, -0.35, 0.45]), 0.8 * swing)
    first.strength = second.strength = np.maximum(draw, shove)
    return first, second


PAIR_MOTIONS: dict[str, PairAction] = {
    "shake hands": shake_hands,
    "hand over an object": hand_over_an_object,
    "punch somebody": punch_somebody,
    "push somebody": push_somebody,
}
