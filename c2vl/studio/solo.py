"""The one-person actions: each function turns time (T,) in 0…1 and a style into a motion."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from c2vl.studio.motion import Curve, Motion, Style, ease, hold

Action = Callable[[Curve, Style], Motion]
TURN = 2 * np.pi


def _gesture(
    t: Curve, style: Style, name: str, length: tuple[float, float] = (0.72, 0.95)
) -> tuple[Motion, Curve]:
    """A motion and its envelope (T,), which rises after the onset and falls before the end."""
    end = style.onset + (1.0 - style.onset) * style.rng.uniform(*length)
    rise = style.rng.uniform(0.14, 0.22) / style.rate
    envelope = hold(t, style.onset, style.onset + rise, end - rise, end)
    motion = Motion(t, gesture=name)
    motion.strength = envelope
    return motion, envelope


def _beat(t: Curve, style: Style, cycles: float) -> Curve:
    """A cosine from 0 to 1 and back, `cycles` times over the clip at the style's rate."""
    return 0.5 - 0.5 * np.cos(
        TURN * (cycles * style.rate * (t - style.onset) + style.rng.uniform(-0.1, 0.1))
    )


def _spot(style: Style, target: tuple[float, float, float], spread: float = 0.05) -> np.ndarray:
    return np.asarray(target) + style.rng.normal(0.0, spread, 3)


def drink_water(t: Curve, style: Style) -> Motion:
    """Lift the hand to the mouth and bend the head back."""
    m, w = _gesture(t, style, "mouth")
    m.reach(style.main, _spot(style, (-0.30, 0.30, 0.36)), w)
    m.nod -= 0.32 * style.amplitude * w
    return m


def eat_a_snack(t: Curve, style: Style) -> Motion:
    """Lift the hand to the mouth several times."""
    m, w = _gesture(t, style, "mouth", (0.85, 1.0))
    bite = w * _beat(t, style, 2.6)
    m.reach(style.main, (-0.10, -0.35, 0.50), w)
    m.reach(style.main, _spot(style, (-0.30, 0.27, 0.34)), bite)
    m.nod += 0.16 * bite
    return m


def make_a_phone_call(t: Curve, style: Style) -> Motion:
    """Hold the hand to the ear."""
    m, w = _gesture(t, style, "head", (0.85, 1.0))
    m.reach(style.main, _spot(style, (-0.12, 0.42, 0.10), 0.04), w)
    m.sway += (0.06 if style.main else -0.06) * w
    return m


def brush_hair(t: Curve, style: Style) -> Motion:
    """Move the hand down the back of the head several times."""
    m, w = _gesture(t, style, "head", (0.8, 1.0))
    stroke = _beat(t, style, 3.2)
    path = (
        _spot(style, (-0.20, 0.68, 0.06), 0.04)
        + stroke[:, None] * np.array([0.08, -0.20, -0.20]) * style.amplitude
    )
    m.reach(style.main, path, w)
    m.sway += 0.04 * w
    return m


def _both_low(m: Motion, style: Style, w: Curve, target: tuple[float, float, float]) -> None:
    spot = _spot(style, target, 0.04)
    m.reach(style.main, spot, w)
    m.reach(style.other, spot + style.rng.normal(0, 0.02, 3), w)


def read(t: Curve, style: Style) -> Motion:
    """Hold both hands in front of the body, look down and turn a page."""
    m, w = _gesture(t, style, "hands", (0.88, 1.0))
    _both_low(m, style, w, (-0.17, -0.22, 0.58))
    leaf = w * hold(t, 0.45, 0.53, 0.55, 0.66)
    m.reach(style.main, (-0.34, -0.10, 0.60), leaf)
    m.nod += 0.38 * w
    return m


def type_on_a_phone(t: Curve, style: Style) -> Motion:
    """Hold both hands in front of the body, look down and tap quickly."""
    m, w = _gesture(t, style, "hands", (0.88, 1.0))
    _both_low(m, style, w, (-0.27, -0.20, 0.50))
    m.hands[:, style.main] += (
        0.035 * (w * np.sin(TURN * 7 * style.rate * t))[:, None] * np.array([0.4, 1.0, 0.3])
    )
    m.nod += 0.42 * w
    return m


def point_at_something(t: Curve, style: Style) -> Motion:
    """Stretch the arm forward."""
    m, w = _gesture(t, style, "reach", (0.45, 0.8))
    m.reach(style.main, _spot(style, (0.12, 0.06, 1.0), 0.14), w)
    m.twist += (0.14 if style.main else -0.14) * w
    return m


def take_a_selfie(t: Curve, style: Style) -> Motion:
    """Stretch the arm forward and up, and move it a little."""
    m, w = _gesture(t, style, "reach", (0.8, 1.0))
    shift = 0.06 * np.sin(TURN * 1.6 * style.rate * t + style.rng.uniform(0, TURN))
    path = _spot(style, (0.08, 0.24, 0.88), 0.08) + shift[:, None] * np.array([1.0, 0.7, 0.0])
    m.reach(style.main, path, w)
    m.sway += style.rng.choice([-1, 1]) * 0.08 * w
    m.turn += style.rng.normal(0, 0.15) * w
    return m


def wave_a_hand(t: Curve, style: Style) -> Motion:
    """Raise the hand and swing it sideways."""
    m, w = _gesture(t, style, "raise", (0.75, 0.98))
    swing = np.sin(TURN * 3.0 * style.rate * (t - style.onset)) * 0.26 * style.amplitude
    path = _spot(style, (0.38, 0.72, 0.16), 0.06) + swing[:, None] * np.array([1.0, -0.1, 0.0])
    m.reach(style.main, path, w)
    return m


def throw(t: Curve, style: Style) -> Motion:
    """Draw the hand back beside the head, then swing it forward."""
    m, _ = _gesture(t, style, "raise")
    release = style.onset + style.rng.uniform(0.28, 0.40) / style.rate
    cock = hold(t, style.onset, release - 0.10, release - 0.03, release + 0.07)
    fling = hold(t, release - 0.05, release + 0.06, release + 0.14, release + 0.38)
    m.reach(style.main, _spot(style, (0.42, 0.62, -0.32), 0.06), cock)
    m.reach(style.main, _spot(style, (0.0, 0.30, 0.92), 0.06), fling)
    m.reach(style.other, (0.20, -0.35, 0.55), 0.8 * cock)
    m.twist += (1 if style.main else -1) * (0.40 * fling - 0.45 * cock) * style.amplitude
    m.lean += 0.20 * fling - 0.10 * cock
    m.strength = np.maximum(cock, fling)
    return m


def clap(t: Curve, style: Style) -> Motion:
    """Move both hands together and apart in front of the chest."""
    m, w = _gesture(t, style, "together", (0.8, 1.0))
    gap = _beat(t, style, 4.2)[:, None] * np.array([0.30, 0.0, 0.0]) * style.amplitude
    spot = _spot(style, (-0.31, -0.12, 0.58), 0.03)
    for side in (0, 1):
        m.reach(side, spot + gap, w)
    return m


def kick(t: Curve, style: Style) -> Motion:
    """Draw one leg back, then swing it forward."""
    m, _ = _gesture(t, style, "leg")
    strike = style.onset + style.rng.uniform(0.28, 0.45) / style.rate
    back = hold(t, style.onset, strike - 0.12, strike - 0.08, strike)
    swing = hold(t, strike - 0.09, strike + 0.07, strike + 0.12, strike + 0.34)
    lift = np.array([0.05, 0.40 * style.amplitude, 0.82])
    m.feet[:, style.main] += swing[:, None] * lift + back[:, None] * np.array([0.0, 0.14, -0.34])
    m.lean += 0.14 * back - 0.16 * swing
    m.reach(style.main, (0.55, -0.55, -0.25), np.maximum(swing, back) * 0.8)
    m.reach(style.other, (0.50, -0.45, 0.35), np.maximum(swing, back) * 0.8)
    m.strength = np.maximum(swing, back)
    return m


def bow(t: Curve, style: Style) -> Motion:
    """Lean forward and straighten up again."""
    m, w = _gesture(t, style, "bend", (0.6, 0.9))
    m.lean += style.rng.uniform(0.75, 1.15) * style.amplitude * w
    m.nod += 0.22 * w
    m.follow = 1.0 - style.rng.uniform(0.5, 1.0) * w
    return m


def pick_up(t: Curve, style: Style) -> Motion:
    """Lean and crouch, with the hand down to the floor."""
    m, w = _gesture(t, style, "bend", (0.65, 0.9))
    m.lean += style.rng.uniform(0.85, 1.15) * w
    m.crouch += style.rng.uniform(0.35, 0.95) * w
    m.follow = 1.0 - 0.9 * w
    m.reach(style.main, _spot(style, (0.0, -0.95, 0.32)), w)
    m.reach(style.other, (0.05, -0.75, 0.40), 0.7 * w)
    return m


def _sit(t: Curve, style: Style, down: bool) -> Motion:
    m = Motion(t, gesture="seat")
    length = style.rng.uniform(0.42, 0.60) / style.rate
    s = ease(t, style.onset, style.onset + length)
    m.seat = s if down else 1.0 - s
    passage = np.sin(np.pi * m.seat)
    m.lean += (0.62 * style.amplitude) * passage + 0.03
    for side in (0, 1):
        m.reach(side, (-0.02, -0.62, 0.50), m.seat)
        m.reach(side, (0.10, -0.75, 0.35), 0.6 * passage)
    m.strength = passage
    return m


def sit_down(t: Curve, style: Style) -> Motion:
    """Sit down on a seat."""
    return _sit(t, style, down=True)


def stand_up(t: Curve, style: Style) -> Motion:
    """Stand up from a seat."""
    return _sit(t, style, down=False)


SOLO_MOTIONS: dict[str, Action] = {
    "drink water": drink_water,
    "eat a snack": eat_a_snack,
    "make a phone call": make_a_phone_call,
    "brush hair": brush_hair,
    "read": read,
    "type on a phone": type_on_a_phone,
    "point at something": point_at_something,
    "take a selfie": take_a_selfie,
    "wave a hand": wave_a_hand,
    "throw": throw,
    "clap": clap,
    "kick": kick,
    "bow": bow,
    "pick up": pick_up,
    "sit down": sit_down,
    "stand up": stand_up,
}
