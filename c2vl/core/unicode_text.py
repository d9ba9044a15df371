"""Text from outside, made fit for UTF-8 and for a terminal.

Python's strings may hold lone surrogates: a file's name that is not UTF-8, or half an emoji in
JSON, where a sentence was cut. Neither a table nor a file can hold them.
"""

from __future__ import annotations

import unicodedata

HIDDEN = ("Cc", "Cs", "Zl", "Zp")  # control characters, surrogates, ends of lines and paragraphs
TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # of the direction


def whole_characters(text: str) -> str:
    r"""Replace each lone surrogate by U+FFFD; two halves of a character become that character.

    Examples:
        >>> whole_characters("\ud83d broken"), whole_characters("\ud83d\ude00") == "\U0001f600"
        ('� broken', True)
    """
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def printable(text: str) -> str:
    r"""Write what a terminal would obey or lack as escapes, in names that people should recognise.

    These are lone surrogates, control characters, ends of lines, and changes of direction.

    Examples:
        >>> print(printable("video\udcff.avi"), printable("ju\x1b[31mmp"), printable("跳 \n"))
        video\udcff.avi ju\x1b[31mmp 跳 \n
    """
    return "".join(
        sign.encode("unicode_escape").decode()
        if sign in TURNS or unicodedata.category(sign) in HIDDEN
        else sign
        for sign in text
    )
