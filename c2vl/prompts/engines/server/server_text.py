"""Text that a server sent, made safe for tables, logs and terminals."""

from __future__ import annotations

import re
import unicodedata

# Escape sequences of terminals: colours and cursor moves (CSI), titles and links (OSC), the rest.
ESCAPES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c)?"
    "|\x1b[ -/]*[0-~]"
)
SHORT_SECRET = 8  # a shorter key may be part of a word, so it is not taken out of an answer
HIDDEN = "***"


def clean_answer(text: str, secret: str = "") -> str:
    """Return `text` without terminal escapes, control characters and `secret`.

    Line breaks and tabs stay. A secret of fewer than 8 characters stays too, because words of the
    answer may contain it.
    """
    kept = "".join(
        character
        for character in ESCAPES.sub("", text)
        if character in "\n\t" or unicodedata.category(character) != "Cc"
    )
    return kept.replace(secret, HIDDEN) if len(secret) >= SHORT_SECRET else kept


def clean_message(text: str, secret: str = "", most: int = 160) -> str:
    """Return one printable line of `text`, at most `most` characters, with `secret` hidden."""
    spaced = " ".join(ESCAPES.sub("", text).split())
    # Before the secret is looked for: hidden characters inside it must not hide it.
    line = "".join(character for character in spaced if character.isprintable())
    if secret:
        line = line.replace(secret, HIDDEN)
    return " ".join(line.split())[:most]
