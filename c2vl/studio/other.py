"""A second synthetic world for transfer: other actions, people and camera angles.

It uses the same bodies, sensor and file format. It has no videos, because only skeletons transfer.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydantic import Field

from c2vl.core.files import write_bytes
from c2vl.core.params import ParamsModel
from c2vl.core.progress import progress
from c2vl.studio.cameras import camera
from c2vl.studio.cast import subject
from c2vl.studio.motion import Curve, Motion, Style, hold
from c2vl.studio.ntu_files import sample_name, write_skeleton
from c2vl.studio.performance import perform_motion
from c2vl.studio.seeds import generator
from c2vl.studio.sensor import sense

# The first world has 45, 0 and -45 degrees.
AZIMUTHS = {
    1: np.deg2rad(65.0),
    2: np.deg2rad(20.0),
    3: np.deg2rad(-25.0),
}
SKELETONS = "nturgb+d_skeletons"
TURN = 2 * np.pi


class OtherWorldParams(ParamsModel):
    """Section `target_world`; samples = actions (8) x subjects x repetitions x 3 cameras."""

    seed: int = Field(ge=0, description="seed of this world; take another one than `studio.seed`")
    setups: int = Field(ge=1, le=32)
    subjects: int = Field(ge=2, le=106)
    repetitions: int = Field(ge=1, le=99)
    frames_per_second: int = Field(ge=5, le=60)


def posed(t: Curve, style: Style) -> tuple[Motion, Curve]:
    """A motion and its envelope (T,), which rises after the onset and falls before the end."""
    end = style.onset + (1.0 - style.onset) * style.rng.uniform(0.75, 0.98)
    rise = style.rng.uniform(0.14, 0.22) / style.rate
    envelope = hold(t, style.onset, style.onset + rise, end - rise, end)
    motion = Motion(t)
    motion.strength = envelope
    return motion, envelope


def near(style: Style, target: tuple[float, float, float], spread: float = 0.05) -> np.ndarray:
    """A place (3,) about `target`, in arm lengths."""
    return np.asarray(target) + style.rng.normal(0.0, spread, 3)


def _squat(t: Curve, style: Style) -> Motion:
    m, w = posed(t, style)
    deep = w * (0.5 - 0.5 * np.cos(TURN * 2.2 * style.rate * (t - style.onset)))
    m.crouch += 1.1 * style.amplitude * deep
    m.lean += 0.35 * deep
    for side in (0, 1):
        m.reach(side, (-0.05, -0.15, 0.85), deep)
    return m


def _salute(t: Curve, style: Style) -> Motion:
    m, w = posed(t, style)
    m.reach(style.main, near(style, (-0.02, 0.55, 0.24), 0.03), w)
    m.lean -= 0.06 * w
    return m


def _stretch(t: Curve, style: Style) -> Motion:
    m, w = posed(t, style)
    for side in (0, 1):
        m.reach(side, near(style, (0.12, 1.0, 0.02)), w)
    m.lean -= 0.22 * style.amplitude * w
    m.nod -= 0.25 * w
    m.sway += 0.12 * w * np.sin(TURN * 1.3 * style.rate * t)
    return m


def _march(t: Curve, style: Style) -> Motion:
    m, w = posed(t, style)
    beat = np.sin(TURN * 3.0 * style.rate * (t - style.onset))
    for side, sign in ((0, 1.0), (1, -1.0)):
        lift = w * np.clip(sign * beat, 0.0, None) * style.amplitude
        m.feet[:, side] += lift[:, None] * np.array([0.0, 0.34, 0.22])
        m.reach(side, (0.10, -0.85, 0.40), w * np.clip(-sign * beat, 0.0, None))
    return m


def _cross_the_arms(t: Curve, style: Style) -> Motion:
    m, w = posed(t, style)
    for side, height in ((style.main, -0.28), (style.other, -0.36)):
        m.reach(side, near(style, (-0.50, height, 0.30), 0.03), w)
    return m


def _check_the_time(t: Curve, style: Style) -> Motion:
    m, w = posed(t, style)
    m.reach(style.other, near(style, (-0.18, -0.12, 0.42), 0.04), w)
    m.nod += 0.36 * w
    m.turn += (-0.15 if style.main else 0.15) * w
    return m


def _high_five(t: Curve, first: Style, second: Style) -> tuple[Motion, Motion]:
    found = []
    meet = first.onset + first.rng.uniform(0.25, 0.40)
    for style in (first, second):
        m = Motion(t)
        w = hold(t, first.onset, meet, meet + 0.05, meet + 0.30)
        m.reach(style.main, np.array([-0.20, 0.55, 0.72]), w)
        m.lean += 0.06 * w
        m.strength = w
        found.append(m)
    return found[0], found[1]


def _hug(t: Curve, first: Style, second: Style) -> tuple[Motion, Motion]:
    found = []
    end = first.rng.uniform(0.78, 0.95)
    for style in (first, second):
        m = Motion(t)
        w = hold(t, first.onset, first.onset + 0.26, end - 0.2, end)
        m.step += 0.24 * w
        m.lean += 0.14 * w
        for side in (0, 1):
            m.reach(side, np.array([-0.05, -0.05 if side == style.main else -0.30, 0.72]), w)
        m.strength = w
        found.append(m)
    return found[0], found[1]


SOLO: dict[str, Callable[[Curve, Style], Motion]] = {
    "squat": _squat,
    "salute": _salute,
    "stretch": _stretch,
    "march on the spot": _march,
    "cross the arms": _cross_the_arms,
    "check the time": _check_the_time,
}
PAIR: dict[str, Callable[[Curve, Style, Style], tuple[Motion, Motion]]] = {
    "high five": _high_five,
    "hug": _hug,
}
ACTIONS = (*SOLO, *PAIR)


def simulate_other(params: OtherWorldParams, raw: Path) -> int:
    """Write `.skeleton` files and `classes.txt` to `raw`; return the number of samples."""
    plan = [
        (person, repetition, action)
        for person in range(1, params.subjects + 1)
        for repetition in range(1, params.repetitions + 1)
        for action in range(1, len(ACTIONS) + 1)
    ]
    for person, repetition, action in progress(plan, "target_world", "performances"):
        rng = generator("other take", params.seed, person, repetition, action)
        partner = (int(rng.integers(1, params.subjects)) + person - 1) % params.subjects + 1
        cast = [subject(params.seed, person), subject(params.seed, partner)]
        name = ACTIONS[action - 1]
        performance = perform_motion(
            name, SOLO.get(name) or PAIR[name], cast, rng, params.frames_per_second
        )
        setup = (person + repetition - 2) % params.setups + 1
        for number, azimuth in AZIMUTHS.items():
            sample = sample_name(setup, number, person, repetition, action)
            seen_from = camera(params.seed, setup, number, azimuth)
            bodies = sense(performance, seen_from, generator("other shot", params.seed, sample))
            frames = len(performance.actors[0].joints)
            write_skeleton(raw / SKELETONS / f"{sample}.skeleton", bodies, frames, seen_from)
    write_bytes(raw / "classes.txt", ("\n".join(ACTIONS) + "\n").encode())
    return len(plan) * len(AZIMUTHS)
