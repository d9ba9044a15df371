"""PKU-MMD as it is distributed: long videos, names of videos, names of the clips cut from them.

Source: Liu et al., PKU-MMD (ACM MM workshop 2017). Part I numbers its videos (`0002-L`), part II
names sequence and performer (`A13N08-M`). Clips are called as the field's converted sets call them:
`A013N008V002C048L005` is of video `A13N08-M`, view 2 (L 1, M 2, R 3), class 48, line 5 of the label
file; in part I, `F002V001C048L005` is of `0002-L`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DATASETS = ("pku1", "pku2")
VIEWS = "LMR"
CLASSES = 51
_VIDEO = {
    "pku1": re.compile(r"(?P<number>\d{4})()-(?P<view>[LMR])", re.ASCII),
    "pku2": re.compile(r"A(?P<number>\d{2})N(\d{2})-(?P<view>[LMR])", re.ASCII),
}
_CLIP = re.compile(r"(?:A(\d{3})N(\d{3})|F(\d{3}))V(\d{3})C(\d{3})L\d{3}", re.ASCII)


class PkuError(Exception):
    """A label or split file cannot be used; the text is a reason fit for a table row."""


@dataclass(frozen=True, order=True)
class VideoName:
    """A long video.

    Attributes:
        number: of the video (part I) or of the sequence of actions (part II).
        performer: None in part I, whose names do not hold it.
        view: 1 left, 2 middle, 3 right.
    """

    number: int
    performer: int | None
    view: int

    def __str__(self) -> str:
        """The name as distributed, without suffix."""
        view = VIEWS[self.view - 1]
        return (
            f"{self.number:04}-{view}"
            if self.performer is None
            else f"A{self.number:02}N{self.performer:02}-{view}"
        )

    def clip(self, action: int | None, line: int) -> str:
        """The name of the clip in `line` (from 1) of the label file; class 0: it cannot be read.

        Examples:
            >>> VideoName(13, 8, 2).clip(48, 5)
            'A013N008V002C048L005'
            >>> VideoName(2, None, 1).clip(48, 5)
            'F002V001C048L005'
        """
        who = (
            f"F{self.number:03}"
            if self.performer is None
            else f"A{self.number:03}N{self.performer:03}"
        )
        return f"{who}V{self.view:03}C{action or 0:03}L{line:03}"


def parse_video(dataset: str, text: str) -> VideoName:
    """Return the parts of a video's name.

    Args:
        dataset: pku1 or pku2.
        text: the name without suffix.

    Raises:
        ValueError: it is no such name.

    Examples:
        >>> parse_video("pku2", "A13N08-M")
        VideoName(number=13, performer=8, view=2)
    """
    match = _VIDEO[dataset].fullmatch(text)
    if match is None or not 1 <= int(match["number"]) <= 999 or match[2] == "00":
        raise ValueError(
            "not a video's name such as "
            f"{'0002-L' if dataset == 'pku1' else 'A13N08-M'}: {text[:40]!r}"
        )
    return VideoName(
        int(match["number"]), int(match[2]) if match[2] else None, VIEWS.index(match["view"]) + 1
    )


def parse_clip(text: str) -> tuple[VideoName, int]:
    """Return the video and the class (from 1) of a clip's name; the reverse of `VideoName.clip`.

    Raises:
        ValueError: it is no such name.

    Examples:
        >>> parse_clip("A013N008V002C048L005")
        (VideoName(number=13, performer=8, view=2), 48)
    """
    match = _CLIP.fullmatch(text)
    numbers = [int(group) for group in match.groups() if group] if match else [0]
    if 0 in numbers or numbers[-2] > len(VIEWS):
        raise ValueError(f"not a clip's name such as A013N008V002C048L005: {text[:40]!r}")
    number, *performer, view, action = numbers
    return VideoName(number, performer[0] if performer else None, view), action


def decoded(data: bytes, what: str) -> str:
    """The text of a label or split file.

    Raises:
        PkuError: it is empty or no text.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PkuError(f"the {what} file is not text") from None
    if not text.strip():
        raise PkuError(f"the {what} file is empty")
    if "\0" in text:
        raise PkuError(f"the {what} file is not text")
    return text
