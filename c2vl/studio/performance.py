"""One performance: one or two people do an action in a room; all three cameras film it."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature
from typing import cast

import numpy as np
from numpy.typing import NDArray

from c2vl.studio.anatomy import LEFT, RIGHT
from c2vl.studio.cast import Colour, Subject
from c2vl.studio.kinematics import articulate, place
from c2vl.studio.motion import Curve, Motion, Style
from c2vl.studio.pair import PAIR_MOTIONS, PairAction
from c2vl.studio.solo import SOLO_MOTIONS, Action
from c2vl.studio.vocabulary import NOTHING, OBJECTS, PHRASES

SECONDS = (2.0, 3.0)  # length of a clip at tempo 1
MAY_SIT = {
    "drink water", "eat a snack", "make a phone call", "brush hair", "read", "type on a phone",
    "point at something", "take a selfie", "wave a hand", "clap",
}  # fmt: skip
SIT_SHARE = 0.35
# What the acting hand holds: object -> probability; otherwise the hand is empty.
PROPS: dict[str, dict[str, float]] = {
    "drink water": {"cup": 1.0},
    "make a phone call": {"phone": 0.9},
    "read": {"book": 0.9},
    "type on a phone": {"phone": 1.0},
    "take a selfie": {"phone": 0.9},
    "throw": {"ball": 0.75, "book": 0.1},
    "eat a snack": {"cup": 0.1},
    "wave a hand": {"ball": 0.12, "phone": 0.1, "book": 0.08},
    "point at something": {"phone": 0.1, "book": 0.12},
    "hand over an object": {"cup": 0.25, "book": 0.25, "ball": 0.2, "bag": 0.2, "phone": 0.1},
    "pick up": {"ball": 0.3, "bag": 0.3, "book": 0.25, "cup": 0.15},
}
DISTRACTOR = 0.28  # chance that the idle hand of a one-person action holds an unrelated object
WAITING = 0.35  # below this strength of a gesture the true phrase is "wait"


@dataclass(frozen=True)
class Actor:
    """One person of a performance, over T frames.

    Args:
        subject: the performer.
        joints: (T, 25, 3) in the room, metres.
        held: (T,) names of the held object.
        hand: the side that holds it.
        seat: (T,) 1 if seated, 0 if standing.
        strength: (T,) how far the gesture is made: 0 before and after, 1 at its height.
        tint: (3,) factors for the colour of the object.
        phrases: (T,) true action phrases.
        yaw: direction in radians.
    """

    subject: Subject
    joints: NDArray[np.float64]
    held: list[str]
    hand: int
    seat: Curve
    strength: Curve
    tint: Colour
    phrases: list[str]
    yaw: float


@dataclass(frozen=True)
class Performance:
    """An action by one or two actors; `chair` is (x, z, yaw) of a seat, or None."""

    action: str
    actors: list[Actor]
    chair: tuple[float, float, float] | None


def _style(subject: Subject, rng: np.random.Generator) -> Style:
    main = subject.main if rng.random() < 0.9 else 1 - subject.main
    return Style(
        amplitude=subject.amplitude * rng.uniform(0.88, 1.12),
        rate=float(np.clip(subject.tempo * rng.uniform(0.9, 1.1), 0.75, 1.35)),
        onset=rng.uniform(0.05, 0.22),
        main=main,
        rng=rng,
    )


def _idle(motion: Motion, rng: np.random.Generator) -> None:
    """Add a slow sway of trunk, head and hands, because nobody stands still."""
    t = motion.t
    for curve, size in (
        (motion.lean, 0.025),
        (motion.sway, 0.03),
        (motion.nod, 0.05),
        (motion.turn, 0.10),
    ):
        curve += size * np.sin(
            2 * np.pi * rng.uniform(0.4, 1.4) * t + rng.uniform(0, 7)
        ) + rng.normal(0, size)
    wobble = np.sin(
        2 * np.pi * rng.uniform(0.5, 2.0, (1, 2, 3)) * t[:, None, None]
        + rng.uniform(0, 7, (1, 2, 3))
    )
    motion.hands += 0.025 * wobble + rng.normal(0, 0.035, (1, 2, 3))


def _seated(motion: Motion) -> None:
    motion.seat[:] = 1.0
    resting = np.clip(1.0 - motion.strength, 0, 1)
    for side in (LEFT, RIGHT):
        lap = np.array([-0.05, -0.60, 0.50])
        low = motion.hands[:, side, 1] < -0.6
        motion.reach(side, lap, np.where(low, 1.0, 0.4 * resting))


def _prop(action: str, rng: np.random.Generator) -> str:
    choices = PROPS.get(action, {})
    draw, total = rng.random(), 0.0
    for name, chance in choices.items():
        total += chance
        if draw < total:
            return name
    return NOTHING


def _holding(
    action: str, motion: Motion, rng: np.random.Generator, free: bool
) -> tuple[list[str], bool]:
    """Names of the held object in each frame, and whether the acting hand holds it."""
    n, item = len(motion.t), _prop(action, rng)
    if item == NOTHING and free and rng.random() < DISTRACTOR:
        return [str(rng.choice(OBJECTS))] * n, False
    held = [item] * n
    peak = int(np.argmax(motion.strength))
    if action == "throw":
        let_go = int(np.argmax(motion.hands[:, :, 2].max(1)))
        held = [item if k <= let_go else NOTHING for k in range(n)]
    elif action == "pick up":
        low = np.flatnonzero(motion.strength > 0.98)
        grasp = int(low[len(low) // 2]) if len(low) else peak
        held = [NOTHING if k < grasp else item for k in range(n)]
    return held, True


def _phrases(motion: Motion) -> list[str]:
    return [PHRASES[motion.gesture if s > WAITING else "wait"] for s in motion.strength]


def _actor(
    subject: Subject,
    motion: Motion,
    held: list[str],
    hand: int,
    place_at: tuple[float, float, float],
    rng: np.random.Generator,
) -> Actor:
    x, z, yaw = place_at
    joints = place(articulate(subject.body, motion), yaw, np.array([x, 0.0, z]))
    tint = rng.uniform(0.8, 1.15, 3)
    return Actor(
        subject,
        joints,
        held,
        hand,
        motion.seat.copy(),
        motion.strength.copy(),
        tint,
        _phrases(motion),
        yaw,
    )


def perform(
    action: str, people: list[Subject], rng: np.random.Generator, frames_per_second: int
) -> Performance:
    """Let `people` perform `action`, facing camera 2; a two-person action needs two people."""
    return perform_motion(
        action, SOLO_MOTIONS.get(action) or PAIR_MOTIONS[action], people, rng, frames_per_second
    )


def perform_motion(
    action: str,
    motion: Action | PairAction,
    people: list[Subject],
    rng: np.random.Generator,
    frames_per_second: int,
) -> Performance:
    """As `perform`, with a given motion: of one person (takes one style) or of two (takes two)."""
    tempo = people[0].tempo
    frames = max(16, int(rng.uniform(*SECONDS) / tempo * frames_per_second))
    t = np.linspace(0.0, 1.0, frames)
    x, z = rng.uniform(-0.35, 0.35), rng.uniform(-0.25, 0.25)
    if len(signature(motion).parameters) == 2:
        return _solo(action, cast(Action, motion), people[0], t, (x, z, rng.normal(0.0, 0.22)), rng)
    return _pair(action, cast(PairAction, motion), people, t, (x, z), rng)


def _solo(
    action: str,
    of: Action,
    subject: Subject,
    t: Curve,
    at: tuple[float, float, float],
    rng: np.random.Generator,
) -> Performance:
    style = _style(subject, rng)
    motion = of(t, style)
    if action in MAY_SIT and rng.random() < SIT_SHARE:
        _seated(motion)
    _idle(motion, rng)
    both_hands = action in ("read", "type on a phone", "clap", "pick up")
    held, acting = _holding(action, motion, rng, free=not both_hands)
    actor = _actor(subject, motion, held, style.main if acting else style.other, at, rng)
    return Performance(action, [actor], at if motion.seat.max() > 0.5 else None)


def _pair(
    action: str,
    of: PairAction,
    people: list[Subject],
    t: Curve,
    at: tuple[float, float],
    rng: np.random.Generator,
) -> Performance:
    styles = [_style(people[0], rng), _style(people[1], rng)]
    styles[1].main = styles[0].main  # both use the same hand, so right meets right
    motions = of(t, styles[0], styles[1])
    gap = 0.5 * (0.74 * (people[0].body.arm + people[1].body.arm) + rng.uniform(0.12, 0.26))
    axis = rng.choice([-1.0, 1.0]) * np.pi / 2 + rng.normal(0.0, 0.16)
    held = [NOTHING] * len(t)
    item = _prop(action, rng)
    swap = int(np.argmax(motions[0].strength)) + 2
    actors = []
    for k, (person, style, motion) in enumerate(zip(people, styles, motions, strict=True)):
        _idle(motion, rng)
        yaw = axis + (np.pi if k else 0.0)
        x, z = at[0] - gap * np.sin(yaw), at[1] - gap * np.cos(yaw)
        mine = (
            [item if (f < swap) == (k == 0) else NOTHING for f in range(len(t))]
            if item != NOTHING
            else held
        )
        actors.append(_actor(person, motion, mine, style.main, (x, z, yaw), rng))
    return Performance(action, actors, None)
