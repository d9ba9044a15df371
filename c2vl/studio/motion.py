"""A motion: what a body does over time, independent of the body.

Angles are in radians, distances of hands in arm lengths.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from c2vl.studio.anatomy import LEFT, RIGHT

Curve = NDArray[np.float64]  # (T,)
# Outward, up, forward from the hand's own shoulder, in arm lengths.
REST_HAND = np.array([0.14, -1.04, 0.10])


def ease(t: Curve | float, start: float, end: float) -> Curve:
    """A smooth step from 0 before `start` to 1 after `end`."""
    x = np.clip((np.asarray(t) - start) / max(end - start, 1e-6), 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def hold(t: Curve, start: float, up: float, down: float, end: float) -> Curve:
    """0, then smoothly to 1 between `start` and `up`, 1 until `down`, and back to 0 at `end`."""
    return ease(t, start, up) * (1.0 - ease(t, down, end))


@dataclass
class Style:
    """How a person performs an action: the factors are near 1, `main` is the acting hand."""

    amplitude: float
    rate: float
    onset: float
    main: int
    rng: np.random.Generator

    @property
    def other(self) -> int:
        """The hand that does not act (`LEFT` or `RIGHT`)."""
        return RIGHT if self.main == LEFT else LEFT


@dataclass
class Motion:
    """Curves over T frames; hands are (T, 2, 3) from their shoulders: outward, up, forward.

    An observer sees `gesture` in frames with a high `strength`, and a waiting person in others.
    """

    t: Curve
    gesture: str = "wait"
    strength: Curve = field(init=False)
    hands: NDArray[np.float64] = field(init=False)
    feet: NDArray[np.float64] = field(init=False)
    lean: Curve = field(init=False)
    twist: Curve = field(init=False)
    sway: Curve = field(init=False)
    nod: Curve = field(init=False)
    turn: Curve = field(init=False)
    seat: Curve = field(init=False)
    crouch: Curve = field(init=False)
    step: Curve = field(init=False)
    follow: Curve = field(init=False)

    def __post_init__(self) -> None:
        n = len(self.t)
        self.hands = np.tile(REST_HAND, (n, 2, 1))
        self.feet = np.zeros((n, 2, 3))
        for name in ("strength", "lean", "twist", "sway", "nod", "turn", "seat", "crouch", "step"):
            setattr(self, name, np.zeros(n))
        self.follow = np.ones(n)

    def reach(
        self,
        side: int,
        target: NDArray[np.float64] | tuple[float, float, float],
        weight: Curve | float,
    ) -> None:
        """Blend the hand of `side` towards `target` ((3,) or (T, 3)) by `weight` (T,)."""
        w = np.broadcast_to(np.asarray(weight, float), self.t.shape)[:, None]
        self.hands[:, side] = (1.0 - w) * self.hands[:, side] + w * np.asarray(target, float)
