"""The words of the synthetic world: classes, objects, postures, phrases, and their synonyms.

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

# Other ways to say a posture, an object or a phrase. Each belongs to one name only, so an answer
# can be read back. None is the name of a class.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "standing": ("standing up", "standing still"),
    "sitting": ("sitting down", "seated"),
    "cup": ("mug",),
    "phone": ("cell phone", "smartphone", "mobile phone"),
    "ball": ("basketball",),
    "book": ("notebook",),
    "bag": ("handbag", "shopping bag"),
    PHRASES["wait"]: ("wait for something", "rest", "relax", "stay still"),
    PHRASES["mouth"]: ("eat or drink something", "touch the mouth"),
    PHRASES["head"]: ("touch the head", "hold something to the head"),
    PHRASES["hands"]: ("examine something in the hands", "use something in the hands"),
    PHRASES["reach"]: ("stretch out an arm", "reach for something"),
    PHRASES["raise"]: ("lift an arm", "hold a hand up"),
    PHRASES["together"]: ("put the hands together", "join the hands"),
    PHRASES["leg"]: ("raise a leg", "move a foot"),
    PHRASES["bend"]: ("lean down", "reach for the floor"),
    PHRASES["seat"]: ("use the chair", "change the position"),
    PHRASES["exchange"]: ("give or take something", "greet each other"),
    PHRASES["strike"]: ("fight the other person", "attack the other person"),
}
