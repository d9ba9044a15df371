"""Subjects: each has a body, clothes, a tempo and habits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c2vl.studio.anatomy import LEFT, RIGHT, Body, random_body
from c2vl.studio.drawing import random_colour
from c2vl.studio.seeds import generator

Colour = NDArray[np.float64]  # (3,) RGB, 0..255


@dataclass(frozen=True)
class Looks:
    """Colours and style of a person's clothes and hair."""

    shirt: Colour
    trousers: Colour
    shoes: Colour
    skin: Colour
    hair: Colour
    long_sleeves: bool
    long_hair: bool
    shorts: bool


@dataclass(frozen=True)
class Subject:
    """A performer; `tempo` and `amplitude` are near 1, `main` is the preferred hand."""

    body: Body
    looks: Looks
    tempo: float
    amplitude: float
    main: int


def _looks(rng: np.random.Generator) -> Looks:
    tan = rng.uniform(0.0, 1.0)
    return Looks(
        shirt=random_colour(rng, (40, 200), (90, 240)),
        trousers=random_colour(rng, (15, 130), (45, 150)),
        shoes=np.full(3, rng.uniform(30, 235)),
        skin=np.array([238.0, 200.0, 172.0]) * (1 - 0.55 * tan) + np.array([6.0, 2.0, 0.0]),
        hair=np.array([58.0, 44.0, 34.0]) * rng.uniform(0.35, 2.6),
        long_sleeves=bool(rng.random() < 0.5),
        long_hair=bool(rng.random() < 0.4),
        shorts=bool(rng.random() < 0.2),
    )


def subject(world: int, number: int) -> Subject:
    """Performer `number` of a world, the same in all setups and repetitions."""
    rng = generator("subject", world, number)
    return Subject(
        body=random_body(rng),
        looks=_looks(rng),
        tempo=float(rng.uniform(0.8, 1.25)),
        amplitude=float(rng.uniform(0.78, 1.12)),
        main=RIGHT if rng.random() < 0.8 else LEFT,
    )
