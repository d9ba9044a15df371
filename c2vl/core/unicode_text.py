"""Text from outside, made fit for UTF-8.

Python's strings may hold lone surrogates: a file's name that is not UTF-8, or half an emoji in
JSON, where a sentence was cut. Neither a table nor a file can hold them.
"""

from __future__ import annotations


def whole_characters(text: str) -> str:
    r"""Replace each lone surrogate by U+FFFD; two halves of a character become that character.

    Examples:
        >>> whole_characters("\ud83d broken"), whole_characters("\ud83d\ude00") == "\U0001f600"
        ('� broken', True)
    """
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def printable(text: str) -> str:
    r"""Write lone surrogates as escapes, for names that people should recognise.

    Examples:
        >>> print(printable("video\udcff.avi"))
        video\udcff.avi
    """
    return text.encode(errors="backslashreplace").decode()
