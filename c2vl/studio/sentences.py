"""Words sentences about a frame: true ones in many ways, and answers with guesses.

The proportions follow LLaVA's answers about PKU-MMD II that the paper's authors published
(docs/decisions.md): openings, hedges, guessed rooms and aims, and objects that are not there.
"""

from __future__ import annotations

from dataclasses import dataclass

from c2vl.studio.draws import Draws
from c2vl.studio.vocabulary import NOTHING, PHRASES, SYNONYMS

# What LLaVA says is in a hand, and is not: true object -> (share, what it says).
MISTAKEN: dict[str, tuple[float, tuple[str, ...]]] = {
    NOTHING: (0.06, ("a remote control", "a Wii remote", "a toy")),
    "phone": (0.10, ("a remote control", "a camera")),
    "cup": (0.05, ("a bottle", "a remote control")),
    "ball": (0.05, ("an orange", "a frisbee")),
    "book": (0.05, ("a box", "a laptop")),
    "bag": (0.05, ("a jacket", "a suitcase")),
}
# What LLaVA takes a gesture for where one frame does not say.
GUESSES = (
    "play a video game",
    "take a picture",
    "do a trick",
    "dance",
    "perform an exercise",
    "operate a device",
    "show something to the camera",
    "talk to somebody",
)
ROOMS = ("a room", "a living room", "an office", "front of a wall")
# Shares of the answers whose aim is a guess, by what is seen; and of those that name no aim.
GUESSED = {"waiting": 0.08, "clear": 0.33, "unclear": 0.60}
UNSAID = 0.06
# Shares of the sentences that also tell the clothes, the pose or the room, and of those that hedge.
CLOTHES, POSE, ROOM, HEDGE = 0.32, 0.24, 0.12, 0.25
NAMED = 0.65  # share of postures, objects and phrases that are said by their first name


@dataclass(frozen=True)
class Facts:
    """What a frame shows of one person, or of two who act together.

    Attributes:
        people: 1 or 2.
        posture: one of `POSTURES`.
        object: one of `OBJECTS`, or `NOTHING`.
        phrase: a value of `PHRASES`.
        pose: one of `poses.POSES`; of two, that of the person who acts.
        clear: False in the middle of a movement, where one frame does not tell what it is for.
        shirt: a colour of `COLOURS`; of two, the first person's.
        trousers: likewise.
        shorts: whether the trousers are short.
        long_hair: whether the person has long hair; it decides between "he" and "she".
    """

    people: int
    posture: str
    object: str
    phrase: str
    pose: str
    clear: bool
    shirt: str
    trousers: str
    shorts: bool
    long_hair: bool


def article(noun: str) -> str:
    """`noun` with "a" or "an"."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _worded(name: str, part: str, words: Draws) -> str:
    """The name of a posture, object or phrase, or one of its synonyms."""
    if words.happens(f"first name, {part}", NAMED):
        return name
    return words.pick(f"synonym, {part}", *SYNONYMS[name])


def _subject(facts: Facts, words: Draws) -> tuple[str, str, str]:
    """How the sentence begins, and the pronouns for later: subject and possessive."""
    if facts.people == 2:
        start = words.pick("start", "Two people are", "The two people are", "They are")
        return start, "They are", "their"
    noun, pronoun, his = ("woman", "She", "her") if facts.long_hair else ("man", "He", "his")
    number = words.number("start")
    if number < 0.55:
        return f"{pronoun} is", f"{pronoun} is", his
    if number < 0.67:
        return f"The {noun} is", f"{pronoun} is", his
    return ("The person is" if number < 0.85 else "The person in the image is"), "They are", "their"


def _thing(facts: Facts, his: str, words: Draws, guesses: bool) -> str:
    """The part about the hand, such as "holding a cup in his hand"."""
    share, mistaken = MISTAKEN[facts.object]
    wrong = guesses and words.happens("mistaken", share)
    if facts.object == NOTHING and not wrong:
        return words.pick(
            "nothing",
            "holding nothing",
            f"not holding anything in {his} hand",
            "not holding anything",
        )
    thing = (
        words.pick("mistake", *mistaken)
        if wrong
        else article(_worded(facts.object, "object", words))
    )
    hand = f" in {his} hand" if words.happens("in the hand", 0.5) else ""
    return f"holding {thing}{hand}"


def _aim(facts: Facts, words: Draws, guesses: bool) -> str:
    """The phrase after "trying to"; empty where nothing is said."""
    if guesses:
        waiting = facts.phrase == PHRASES["wait"]
        guessed = GUESSED["waiting" if waiting else "clear" if facts.clear else "unclear"]
        number = words.number("aim")
        if number < UNSAID:
            return ""
        if number < UNSAID + guessed:
            return words.pick("guess", *GUESSES)
    return _worded(facts.phrase, "phrase", words)


def _clothes(facts: Facts, words: Draws) -> str:
    """Colours of clothes, such as "a blue shirt"."""
    shirt = article(f"{facts.shirt} shirt")
    below = f"{facts.trousers} {'shorts' if facts.shorts else 'trousers'}"
    number = words.number("clothes")
    return shirt if number < 0.6 else below if number < 0.8 else f"{shirt} and {below}"


def say(facts: Facts, words: Draws, guesses: bool = False) -> str:
    """A sentence that answers the paper's question about `facts`.

    Args:
        facts: what there is to see.
        words: decides the wording.
        guesses: False for the truth, which states posture, object and phrase; True for an answer
            like LLaVA's, which may name another object, guess the aim, or not say it.
    """
    start, then, his = _subject(facts, words)
    thing, aim = _thing(facts, his, words, guesses), _aim(facts, words, guesses)
    posture = _worded(facts.posture, "posture", words)
    if facts.posture == "sitting" and words.happens("chair", 0.6):
        posture += " on a chair"
    wearing = pose = last = ""
    extra = words.number("extra")
    if extra < CLOTHES:
        clothes = _clothes(facts, words)
        if facts.people == 1 and words.happens("wearing first", 0.6):
            wearing = f" wearing {clothes},"
        else:
            last = f" {'One of them is' if facts.people == 2 else then} wearing {clothes}."
    elif extra < CLOTHES + POSE:
        pose = f", {facts.pose}"
    elif extra < CLOTHES + POSE + ROOM:
        posture += f" in {words.pick('room', *ROOMS)}"
    if words.happens("order", 0.5):
        text = f"{start}{wearing} {posture} and {thing}{pose}."
    else:
        text = f"{start}{wearing} {thing}. {then} {posture}{pose}."
    if aim:
        lead = then
        if words.happens("hedge", HEDGE):
            lead = words.pick("which hedge", f"{then} likely", f"{then} possibly")
        text += f" {lead} trying to {aim}."
    return text + last
