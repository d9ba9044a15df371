"""The truth about a frame in the words of the vocabulary; only the studio and scoring use it."""

from __future__ import annotations

from dataclasses import replace

from c2vl.studio.colours import colour_name
from c2vl.studio.draws import Draws
from c2vl.studio.performance import Actor, Performance
from c2vl.studio.poses import pose_of
from c2vl.studio.sentences import Facts, say
from c2vl.studio.vocabulary import NOTHING, PHRASES

RESTING, MADE = 0.1, 0.8  # strengths of a gesture between which one frame does not tell it


def posture(actor: Actor, frame: int) -> str:
    """`sitting` if the person sits on the seat, else `standing`."""
    return "sitting" if actor.seat[frame] > 0.5 else "standing"


def person_facts(actor: Actor, frame: int) -> Facts:
    """The truth about one person alone."""
    looks = actor.subject.looks
    return Facts(
        people=1,
        posture=posture(actor, frame),
        object=actor.held[frame],
        phrase=actor.phrases[frame],
        pose=pose_of(actor.joints[frame]),
        clear=not RESTING < actor.strength[frame] < MADE,
        shirt=colour_name(looks.shirt),
        trousers=colour_name(looks.trousers),
        shorts=looks.shorts,
        long_hair=looks.long_hair,
    )


def frame_facts(performance: Performance, frame: int) -> Facts:
    """The truth about all people in the frame.

    Of two people: clothes and posture of the first, what either of them holds, and phrase and pose
    of the first who does not wait.
    """
    every = [person_facts(actor, frame) for actor in performance.actors]
    first = every[0]
    if len(every) == 1:
        return first
    active = next((one for one in every if one.phrase != PHRASES["wait"]), first)
    return replace(
        first,
        people=len(every),
        object=next((one.object for one in every if one.object != NOTHING), NOTHING),
        phrase=active.phrase,
        pose=active.pose,
        clear=active.clear,
    )


def frame_sentence(performance: Performance, frame: int, words: Draws) -> str:
    """A true answer to the paper's question about all people in the frame."""
    return say(frame_facts(performance, frame), words)
