"""What the vision tower learns to recognise in a crop, as numbers."""

from __future__ import annotations

from c2vl.evaluation.scores.answers import Vocabulary, parse
from c2vl.studio import vocabulary
from c2vl.studio.colours import COLOURS
from c2vl.studio.poses import POSES
from c2vl.studio.sentences import Facts

PHRASES = tuple(vocabulary.PHRASES.values())
THINGS = (vocabulary.NOTHING, *vocabulary.OBJECTS)
PARTS = {
    "posture": len(vocabulary.POSTURES),
    "object": len(THINGS),
    "phrase": len(PHRASES),
    "action": len(vocabulary.ACTIONS),
    "pose": len(POSES),
    "shirt": len(COLOURS),
    "trousers": len(COLOURS),
}
NAMES = Vocabulary(vocabulary.POSTURES, THINGS, PHRASES, vocabulary.SYNONYMS)


def parts_of(facts: Facts, action: str) -> tuple[int, ...]:
    """Indices in the order of `PARTS`."""
    return (
        vocabulary.POSTURES.index(facts.posture),
        THINGS.index(facts.object),
        PHRASES.index(facts.phrase),
        vocabulary.ACTIONS.index(action),
        POSES.index(facts.pose),
        COLOURS.index(facts.shirt),
        COLOURS.index(facts.trousers),
    )


def read(sentence: str) -> tuple[str | None, str | None, str | None]:
    """Names of posture, object and phrase that an answer states; None for what it does not."""
    return parse(sentence, NAMES).names()
