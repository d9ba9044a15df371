"""Single frames to train the shipped engines; subjects, rooms and seeds differ from any demo."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from c2vl.studio.cameras import Camera, camera
from c2vl.studio.cast import subject
from c2vl.studio.drawing import Image
from c2vl.studio.performance import Performance, perform
from c2vl.studio.room import background
from c2vl.studio.scene import Frame, empty_set, grain_tile, render
from c2vl.studio.seeds import generator
from c2vl.studio.sentences import Facts
from c2vl.studio.truth import frame_facts
from c2vl.studio.vocabulary import ACTIONS, PAIR

# Seed of a world for stills only: `studio.seed` of a demo must be smaller.
ENGINE_WORLD = 2_000_000_000
PER_ROOM = 8  # stills that share a room, because drawing a room is slow


@dataclass(frozen=True)
class Person:
    """One person of a still: box (4,) xyxy and joints (25, 2), in pixels of the image.

    `coco` are COCO's joints (17, 3): x, y, and 1 if visible, else 0.
    """

    box: NDArray[np.float64]
    facts: Facts
    action: str
    joints: NDArray[np.float64]
    coco: NDArray[np.float64]


@dataclass(frozen=True)
class Still:
    """A frame with 0 to 2 people.

    `pair` is True for a two-person action: its people are cropped together, and the facts of each
    are those of both.
    """

    image: Image
    people: list[Person]
    pair: bool


@lru_cache(maxsize=16)
def _room(setup: int, number: int, height: int) -> tuple[Camera, Image]:
    seen_from = camera(ENGINE_WORLD, setup, number)
    return seen_from, background(ENGINE_WORLD, setup, seen_from, height)


def still(seed: int, height: int = 216) -> Still:
    """The still number `seed`; neighbours share a room, and about 6 % show no person."""
    rng = generator("still", ENGINE_WORLD, seed)
    setup = seed // PER_ROOM
    number = int(generator("still-camera", ENGINE_WORLD, setup).integers(1, 4))
    seen_from, room = _room(setup, number, height)
    grain = grain_tile(height, rng)
    if rng.random() < 0.06:
        return Still(room.copy(), [], False)
    action = str(rng.choice(PAIR)) if rng.random() < 0.22 else str(rng.choice(ACTIONS))
    cast = [subject(ENGINE_WORLD, int(n)) for n in rng.choice(100_000, 2, replace=False)]
    performance = perform(action, cast, rng, frames_per_second=15)
    frame = int(rng.integers(len(performance.actors[0].joints)))
    drawn = render(
        performance, frame, seen_from, empty_set(performance, seen_from, room, rng), grain
    )
    people = _people(performance, frame, drawn, seen_from, height)
    return Still(drawn.image, people, len(people) == 2)


def _people(
    performance: Performance, frame: int, drawn: Frame, seen_from: Camera, height: int
) -> list[Person]:
    people = []
    for actor, box, coco in zip(performance.actors, drawn.boxes, drawn.joints, strict=True):
        pixels = seen_from.colour(seen_from.view(actor.joints[frame])) * (height / 1080.0)
        facts = frame_facts(performance, frame)
        people.append(Person(box, facts, performance.action, pixels, coco))
    return people
