"""What is true of a frame, in the words of the vocabulary. Only the studio and scoring may know it."""

from __future__ import annotations

from c2vl.studio.performance import Actor, Performance
from c2vl.studio.vocabulary import NOTHING, PHRASES, sentence


def posture(actor: Actor, frame: int) -> str:
    """`sitting` when the seat carries the person, else `standing`."""
    return "sitting" if actor.seat[frame] > 0.5 else "standing"


def frame_sentence(performance: Performance, frame: int) -> str:
    """The true answer to the paper's question for everybody in the frame together."""
    actors = performance.actors
    things = [actor.held[frame] for actor in actors if actor.held[frame] != NOTHING]
    doing = [actor.phrases[frame] for actor in actors if actor.phrases[frame] != PHRASES["wait"]]
    return sentence(
        len(actors),
        posture(actors[0], frame),
        things[0] if things else NOTHING,
        doing[0] if doing else PHRASES["wait"],
    )
