"""Simulates Kinect's errors: jitter, inferred joints, gaps in tracking, and false bodies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c2vl.studio.cameras import Camera
from c2vl.studio.coco import behind_trunk
from c2vl.studio.performance import Performance

TRACKED, INFERRED = 2, 1
# Metres. Publications report 1 to 2 cm for Kinect v2 at 3 m, and much more behind the body.
JITTER = {
    TRACKED: 0.015,
    INFERRED: 0.06,
}
GAP_CHANCE, LATE_CHANCE, SPURIOUS_CHANCE = 0.10, 0.05, 0.07
FIRST_ID = 72057594037931101  # the first body id of NTU RGB+D's own files


@dataclass(frozen=True)
class TrackedBody:
    """One body id.

    Args:
        identity: the id.
        frames: (N,) numbers of the frames with this body.
        joints: (N, 25, 3) metres, in camera coordinates.
        states: (N, 25) tracking states.
    """

    identity: int
    frames: NDArray[np.int64]
    joints: NDArray[np.float64]
    states: NDArray[np.int64]


def _jitter(states: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise (T, 25, 3) that drifts from frame to frame, larger for inferred joints."""
    white = rng.normal(0.0, 1.0, (*states.shape, 3))
    drift = white.copy()
    for t in range(1, len(drift)):
        drift[t] = 0.75 * drift[t - 1] + 0.66 * white[t]
    size = np.where(states == TRACKED, JITTER[TRACKED], JITTER[INFERRED])
    return drift * size[..., None]


def _pieces(frames: int, rng: np.random.Generator) -> list[tuple[NDArray[np.int64], bool]]:
    """Runs of tracked frames; the flag is True if Kinect gives the body a new id."""
    start = int(rng.integers(2, 5)) if rng.random() < LATE_CHANCE else 0
    if frames < 24 or rng.random() > GAP_CHANCE:
        return [(np.arange(start, frames), False)]
    at, length = int(rng.integers(6, frames - 12)), int(rng.integers(2, 6))
    return [
        (np.arange(start, at), False),
        (np.arange(at + length, frames), bool(rng.random() < 0.5)),
    ]


def _spurious(frames: int, identity: int, rng: np.random.Generator) -> TrackedBody:
    """A false body that is really furniture: wide, low and almost still."""
    length = int(rng.integers(4, frames))
    start = int(rng.integers(0, frames - length + 1))
    centre = np.array(
        [
            rng.choice([-1, 1]) * rng.uniform(0.9, 1.5),
            rng.uniform(-0.8, -0.2),
            rng.uniform(2.5, 4.0),
        ]
    )
    shape = centre + rng.normal(0, 1, (25, 3)) * np.array([0.35, 0.12, 0.15])
    joints = shape + rng.normal(0, 0.012, (length, 25, 3))
    return TrackedBody(
        identity, np.arange(start, start + length), joints, np.full((length, 25), INFERRED)
    )


def sense(performance: Performance, camera: Camera, rng: np.random.Generator) -> list[TrackedBody]:
    """The bodies that the Kinect `camera` reports, in its own coordinates (metres)."""
    bodies: list[TrackedBody] = []
    identity = FIRST_ID + int(rng.integers(0, 900))
    for actor in performance.actors:
        seen = camera.view(actor.joints)
        states = np.where(
            behind_trunk(seen) | (rng.random(seen.shape[:2]) < 0.01), INFERRED, TRACKED
        )
        noisy = seen + _jitter(states, rng)
        for frames, renamed in _pieces(len(seen), rng):
            identity += renamed
            if bodies and bodies[-1].identity == identity:
                frames = np.concatenate([bodies.pop().frames, frames])
            bodies.append(TrackedBody(identity, frames, noisy[frames], states[frames]))
        identity += 1
    if rng.random() < SPURIOUS_CHANCE:
        bodies.append(_spurious(len(performance.actors[0].joints), identity, rng))
    return bodies
