"""The truth about a frame in the words of the vocabulary; only the studio and scoring use it."""

from __future__ import annotations

from c2vl.studio.performance import Actor, Performance
from c2vl.studio.vocabulary import NOTHING, PHRASES, sentence


def posture(actor: Actor, frame: int) -> str:
    """`sitting` if the person sits on the seat, else `standing`."""
    return "sitting" if actor.seat[frame] > 0.5 else "standing"


def frame_sentence(performance: Performance, frame: int) -> str:
    """The true answer to the paper's question about all people in the frame."""
    actors = performance.actors
    things = [actor.held[frame] for actor in actors if actor.held[frame] != NOTHING]
    doing = [actor.phrases[frame] for actor in actors if actor.phrases[frame] != PHRASES["wait"]]
    return sentence(
        len(actors),
        posture(actors[0], frame),
        things[0] if things else NOTHING,
        doing[0] if doing else PHRASES["wait"],
    )
