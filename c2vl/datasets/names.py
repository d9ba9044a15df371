"""Sample names `SsssCcccPpppRrrrAaaa`, checked because a name becomes part of paths and keys."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})", re.ASCII)


@dataclass(frozen=True, order=True)
class SampleName:
    """The five numbers of a name, each from 1 to 999."""

    setup: int
    camera: int
    subject: int
    repetition: int
    action: int

    def __str__(self) -> str:
        """The name: `S001C002P003R001A004`."""
        place = f"S{self.setup:03}C{self.camera:03}P{self.subject:03}"
        return f"{place}R{self.repetition:03}A{self.action:03}"

    @property
    def label(self) -> int:
        """Class label from 0."""
        return self.action - 1


def parse_name(text: str) -> SampleName:
    """Return the numbers of a sample name.

    Raises:
        ValueError: `text` is not exactly such a name, or a number in it is 0.

    Examples:
        >>> parse_name("S001C002P003R001A004")
        SampleName(setup=1, camera=2, subject=3, repetition=1, action=4)
    """
    match = _NAME.fullmatch(text)
    numbers = [int(group) for group in match.groups()] if match else [0]
    if 0 in numbers:
        raise ValueError(f"not a sample name such as S001C002P003R001A004: {text[:40]!r}")
    return SampleName(*numbers)
