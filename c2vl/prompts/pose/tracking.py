"""Follows people over the frames of a clip by the overlap of their boxes, not by their looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from c2vl.core.boxes import iou

SAME = 0.7  # IoU from which two boxes of one frame are one person found twice
OVERLAP = 0.1  # a person who walks between two looks; the Hungarian method prefers the larger ones
MISSED = 3  # looks in a row after which a person who comes back is another one


@dataclass(frozen=True)
class Track:
    """One person over a clip.

    Attributes:
        looks: (n,) positions of the frames in which the person was found, ascending.
        boxes: (n, 4) xyxy.
        scores: (n,) of the detector.
    """

    looks: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray

    def boxes_in(self, count: int, all_looks: Sequence[int]) -> np.ndarray:
        """Boxes (count, 4) in all frames of a clip, NaN where the person is not there.

        Between two looks the box moves evenly. The person comes half-way between the look before
        and their first one, and goes in the same way; a clip that begins or ends with them has them
        from its first or to its last frame.

        Args:
            count: frames of the clip.
            all_looks: positions of all frames that the detector saw, ascending.
        """
        looks = [int(look) for look in all_looks]
        first, last = looks.index(self.looks[0]), looks.index(self.looks[-1])
        begin = (looks[first - 1] + looks[first] + 1) // 2 if first else 0
        end = (looks[last] + looks[last + 1] + 1) // 2 if last + 1 < len(looks) else count
        boxes = np.full((count, 4), np.nan)
        there = np.arange(begin, end)
        for side, values in enumerate(self.boxes.T):
            boxes[begin:end, side] = np.interp(there, self.looks, values)
        return boxes


def follow(
    looks: Sequence[int], found: Sequence[tuple[np.ndarray, np.ndarray]], overlap: float = OVERLAP
) -> list[Track]:
    """Join the boxes of each person to tracks.

    From frame to frame, boxes and tracks are paired so that the sum of their IoU is largest
    (Hungarian method). A track waits with its last box for a person who is not found.

    Args:
        looks: positions in the clip of the frames that the detector saw, ascending.
        found: boxes (N, 4) xyxy and scores (N,) of each of them.
        overlap: least IoU of a track's last box and its next one.

    Returns:
        The tracks in order of first appearance.
    """
    tracks: list[list[tuple[int, np.ndarray, float]]] = []
    for number, (boxes, scores) in enumerate(found):
        kept = _once_each(boxes, scores)
        alive = [track for track in tracks if number - track[-1][0] <= MISSED + 1]
        paired = _pairs(np.array([track[-1][1] for track in alive]), boxes[kept], overlap)
        for at, index in enumerate(kept):
            track: list[tuple[int, np.ndarray, float]] = []
            if at in paired:
                track = alive[paired[at]]
            else:
                tracks.append(track)
            track.append((number, boxes[index], float(scores[index])))
    return [
        Track(
            np.array([looks[number] for number, _, _ in track]),
            np.array([box for _, box, _ in track], np.float64),
            np.array([score for _, _, score in track]),
        )
        for track in tracks
    ]


def _once_each(boxes: np.ndarray, scores: np.ndarray) -> list[int]:
    """Indices of the boxes without second ones of the same person, best first."""
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        if not kept or iou(boxes[index], boxes[kept]).max() < SAME:
            kept.append(index)
    return kept


def _pairs(last: np.ndarray, boxes: np.ndarray, overlap: float) -> dict[int, int]:
    """The track of each box that has one."""
    if not len(last) or not len(boxes):
        return {}
    table = iou(last, boxes)
    table[table < overlap] = 0
    tracks, columns = linear_sum_assignment(table, maximize=True)
    return {
        int(column): int(track)
        for track, column in zip(tracks, columns, strict=True)
        if table[track, column] > 0
    }
