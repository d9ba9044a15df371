"""Find answers that repeat themselves, as greedy decoding does when a model is lost."""

from __future__ import annotations

import re

MIN_TIMES, MIN_WORDS = 3, 6  # repetitions in a row, and words in all of them together
MAX_PHRASE = 20  # words of a repeated phrase
# Ten times in a row without a space: `!!!!!!!!!!` is what an overflow in float16 decodes to.
CHARACTERS = re.compile(r"(\S{1,8}?)\1{9,}")


def repeats(answer: str) -> bool:
    """Whether an answer repeats a phrase of up to 20 words three times or more in a row.

    The repetitions must have six words or more in all. One to eight characters, repeated ten times
    without a space, count too.

    Examples:
        >>> repeats("They are holding a cup, holding a cup, holding a cup")
        True
        >>> repeats("He is very, very, very tired")
        False
    """
    if CHARACTERS.search(answer):
        return True
    words = re.findall(r"[^\W_]+", answer.lower())
    lengths = range(1, min(MAX_PHRASE, len(words) // MIN_TIMES) + 1)
    return any(_repeats_phrase(words, length) for length in lengths)


def _repeats_phrase(words: list[str], length: int) -> bool:
    """Whether a phrase of `length` words stands often enough in a row."""
    needed = max(MIN_TIMES * length, MIN_WORDS) - length
    equal = 0  # words in a row that equal the word `length` places before
    for word, before in zip(words[length:], words, strict=False):
        equal = equal + 1 if word == before else 0
        if equal >= needed:
            return True
    return False
