"""The words of the synthetic world: classes, objects, postures, and phrases for single frames.

A phrase names a visible gesture. Most phrases are shared by two classes, so an answer helps to
recognise the class but does not give it away.
"""

from __future__ import annotations

OBJECTS = ("cup", "phone", "ball", "book", "bag")
NOTHING = "nothing"
POSTURES = ("standing", "sitting")
PHRASES = {
    "wait": "wait",
    "mouth": "bring something to the mouth",
    "head": "put a hand to the head",
    "hands": "look at something in the hands",
    "reach": "reach forward",
    "raise": "raise an arm",
    "together": "bring both hands together",
    "leg": "lift a leg",
    "bend": "bend down",
    "seat": "sit down or get up",
    "exchange": "reach for each other",
    "strike": "strike the other person",
}
SOLO = (
    "drink water",
    "eat a snack",
    "make a phone call",
    "brush hair",
    "read",
    "type on a phone",
    "point at something",
    "take a selfie",
    "wave a hand",
    "throw",
    "clap",
    "kick",
    "bow",
    "pick up",
    "sit down",
    "stand up",
)
PAIR = ("shake hands", "hand over an object", "punch somebody", "push somebody")
ACTIONS = SOLO + PAIR


def sentence(people: int, posture: str, held: str, phrase: str) -> str:
    """The true answer to the paper's question for one frame.

    Args:
        people: number of visible people of the action, 1 or 2.
        posture: one of `POSTURES`.
        held: one of `OBJECTS` or `NOTHING`.
        phrase: a value of `PHRASES`.
    """
    thing = held if held == NOTHING else f"a {held}"
    if people == 1:
        return f"The person is {posture} and holding {thing}. The person is trying to {phrase}."
    return f"Two people are {posture} and holding {thing}. They are trying to {phrase}."
