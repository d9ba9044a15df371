"""Answers that go round in circles: what greedy decoding does when a model is lost, or computes nonsense."""

from __future__ import annotations

import re

TIMES, WORDS = 3, 6  # a phrase said so often in a row, so many words of it in all
MOST = 20  # words of a phrase
CHARACTERS = re.compile(
    r"(\S{1,8}?)\1{9,}"
)  # ten times in a row without a space: `!!!!!!!!!!` is what float16 overflow says


def repeats(answer: str) -> bool:
    """Whether an answer says a phrase of up to 20 words three times or more in a row, six words or more in all.

    Examples:
        >>> repeats("They are holding a cup, holding a cup, holding a cup")
        True
        >>> repeats("He is very, very, very tired")
        False
    """
    if CHARACTERS.search(answer):
        return True
    words = re.findall(r"[^\W_]+", answer.lower())
    return any(_runs(words, length) for length in range(1, min(MOST, len(words) // TIMES) + 1))


def _runs(words: list[str], length: int) -> bool:
    """Whether a phrase of `length` words stands often enough in a row."""
    needed = (
        max(TIMES * length, WORDS) - length
    )  # words in a row that equal the one a phrase before
    equal = 0
    for word, before in zip(words[length:], words, strict=False):
        equal = equal + 1 if word == before else 0
        if equal >= needed:
            return True
    return False
