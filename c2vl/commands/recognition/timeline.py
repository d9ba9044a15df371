"""The timeline of a long video: which action is the likeliest at which time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Span = tuple[int, int]  # first frame, and the one after the last


@dataclass(frozen=True)
class Segment:
    """A time in which one action is the likeliest.

    Attributes:
        begin, stop: its first frame, and the one after its last.
        scores: (classes,) mean over the frames; None if nobody is there.
    """

    begin: int
    stop: int
    scores: np.ndarray | None

    @property
    def label(self) -> int | None:
        """The likeliest action."""
        return None if self.scores is None else int(self.scores.argmax())


def timeline(spans: Sequence[Span], scores: Sequence[np.ndarray | None]) -> list[Segment]:
    """Segments without gap from the first frame to the last.

    At each moment the scores are the mean of those of the windows that hold it.

    Args:
        spans: of the windows; begins and ends ascend, and there is no gap.
        scores: (classes,) of each window; None if nobody is there.
    """
    merged: list[Segment] = []
    for piece in _pieces(spans, scores):
        if merged and merged[-1].label == piece.label:
            merged[-1] = _joined(merged[-1], piece)
        else:
            merged.append(piece)
    return merged


def _pieces(spans: Sequence[Span], scores: Sequence[np.ndarray | None]) -> Iterator[Segment]:
    """Parts of the video, in each of which the same windows lie."""
    edges = sorted({edge for span in spans for edge in span})
    first = last = 0  # the windows that hold a part are neighbours
    for begin, stop in pairwise(edges):
        while last < len(spans) and spans[last][0] <= begin:
            last += 1
        while spans[first][1] <= begin:
            first += 1
        over = [found for found in scores[first:last] if found is not None]
        yield Segment(begin, stop, np.mean(over, axis=0) if over else None)


def _joined(one: Segment, other: Segment) -> Segment:
    if one.scores is None or other.scores is None:
        return Segment(one.begin, other.stop, None)
    before, after = one.stop - one.begin, other.stop - other.begin
    mean = (one.scores * before + other.scores * after) / (before + after)
    return Segment(one.begin, other.stop, mean)
