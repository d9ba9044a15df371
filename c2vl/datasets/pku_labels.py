"""PKU-MMD's label files: lines `label,start,end,confidence`, and the clips of a long video."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from c2vl.datasets.pku import CLASSES, PkuError, decoded

ClipBounds = Literal["start:end", "start-1:end"]
MOST_LINES = 999  # a clip's name has three digits for it; real files have some 20
_NUMBER = re.compile(r"\s*([+-]?\d{1,9})(?:\.0*)?\s*", re.ASCII)
_CONFIDENCE = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Label:
    """One line: class from 1, frames as written; if it is malformed all are None, see `problem`."""

    line: int
    action: int | None = None
    start: int | None = None
    end: int | None = None
    problem: str = ""


@dataclass(frozen=True)
class Clip:
    """A clip of a long video.

    Attributes:
        line: of the label file, from 1.
        action: class from 1, None where the line has none.
        begin, stop: its frames, from 0, `stop` excluded; None where it is of no use.
        kind: why it is of no use, in a few words for counting; empty where it is usable.
        reason: what is wrong, or worth knowing of a usable clip, in a sentence.
    """

    line: int
    action: int | None = None
    begin: int | None = None
    stop: int | None = None
    kind: str = ""
    reason: str = ""


def parse_labels(data: bytes) -> list[Label]:
    """Return the lines of a label file that are not blank, numbered from 1.

    Raises:
        PkuError: the file is empty, no text, or absurdly long.
    """
    lines = [line for line in decoded(data, "label").splitlines() if line.strip()]
    if len(lines) > MOST_LINES:
        raise PkuError(f"the label file has {len(lines):,} lines, more than {MOST_LINES}")
    return [_label(number, line) for number, line in enumerate(lines, start=1)]


def _label(number: int, line: str) -> Label:
    # Nothing uses the confidence, so it may be any number, or missing after its comma.
    texts, confidence = line.split(",")[:3], line.split(",")[3:]
    if confidence and not confidence[-1].strip():
        confidence.pop()
    fields = [_NUMBER.fullmatch(text) for text in texts]
    if (
        len(fields) != 3
        or None in fields
        or len(confidence) > 1
        or not all(_CONFIDENCE.fullmatch(number) for number in confidence)
    ):
        shown = repr(line.strip()[:40].encode("ascii", "replace").decode())
        return Label(
            number,
            problem=f"line {number} of the label file is not `label,start,end,confidence`: {shown}",
        )
    action, start, end = (int(field[1]) for field in fields if field)
    return Label(number, action, start, end)


def cut(labels: Iterable[Label], frames: int, bounds: ClipBounds) -> list[Clip]:
    """Return one clip a label.

    Overlapping clips are both kept: part II has concurrent actions. A label that ends past the last
    frame is cut there, as slicing does in every published script.

    Args:
        labels: of one video.
        frames: of its skeleton file.
        bounds: how the field slices, Python's way: `start:end` or `start-1:end` of the numbers in
            the file.
    """
    clips: list[Clip] = []
    for label in labels:
        clip = _clip(label, frames, bounds)
        if not clip.kind:
            others = [other.line for other in clips if not other.kind and _overlap(other, clip)]
            overlap = f"overlaps the clip of line {', '.join(map(str, others))}" if others else ""
            reason = "; ".join(filter(None, [clip.reason, overlap]))
            clip = Clip(clip.line, clip.action, clip.begin, clip.stop, "", reason)
        clips.append(clip)
    return clips


def _clip(label: Label, frames: int, bounds: ClipBounds) -> Clip:
    if label.problem or label.action is None or label.start is None or label.end is None:
        return Clip(label.line, kind="malformed label", reason=label.problem)

    def refused(kind: str, reason: str) -> Clip:
        named = label.action if label.action in range(1, 1000) else None
        return Clip(
            label.line, named, kind=kind, reason=f"line {label.line} of the label file: {reason}"
        )

    begin = label.start - (bounds == "start-1:end")
    if not 1 <= label.action <= CLASSES:
        return refused("label out of range", f"label {label.action} is not one of 1 to {CLASSES}")
    if begin >= label.end:
        return refused(
            "clip without frames", f"the clip begins at frame {label.start} and ends at {label.end}"
        )
    if begin < 0:
        return refused(
            "clip out of range", f"the clip begins at frame {label.start}, before the first"
        )
    if begin >= frames:
        return refused(
            "clip out of range",
            f"the clip begins at frame {label.start}, past the last of {frames}",
        )
    late = (
        f"the label ends at frame {label.end}, past the last of {frames}; cut there"
        if label.end > frames
        else ""
    )
    return Clip(label.line, label.action, begin, min(label.end, frames), "", late)


def _overlap(one: Clip, other: Clip) -> bool:
    assert (
        one.begin is not None
        and one.stop is not None
        and other.begin is not None
        and other.stop is not None
    )
    return one.begin < other.stop and other.begin < one.stop
