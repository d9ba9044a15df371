"""What the vision tower learns to recognise in a crop, as numbers."""

from __future__ import annotations

import itertools
from functools import cache

from c2vl.studio import vocabulary

PHRASES = tuple(vocabulary.PHRASES.values())
THINGS = (vocabulary.NOTHING, *vocabulary.OBJECTS)
PARTS = {
    "posture": len(vocabulary.POSTURES),
    "object": len(THINGS),
    "phrase": len(PHRASES),
    "action": len(vocabulary.ACTIONS),
}


@cache
def _meaning() -> dict[str, tuple[int, int, int]]:
    indices = itertools.product(
        (1, 2), range(len(vocabulary.POSTURES)), range(len(THINGS)), range(len(PHRASES))
    )
    return {
        vocabulary.sentence(people, vocabulary.POSTURES[posture], THINGS[thing], PHRASES[phrase]): (
            posture,
            thing,
            phrase,
        )
        for people, posture, thing, phrase in indices
    }


def read(sentence: str) -> tuple[int, int, int] | None:
    """Indices of posture, object and phrase of an answer; None if it is not in the vocabulary."""
    return _meaning().get(sentence)
