"""Follows people over the frames of a clip by the overlap of their boxes, not by their looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from c2vl.core.boxes import iou

SAME = 0.7  # IoU from which two boxes of one frame are one person found twice


@dataclass(frozen=True)
class Track:
    """One person over a clip.

    Attributes:
        frames: (n,) numbers of the frames in which the person was found, ascending.
        boxes: (n, 4) xyxy.
        scores: (n,) of the detector.
    """

    frames: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray

    def covers(self, frames: np.ndarray) -> np.ndarray:
        """Mask (F,) of the frames from the person's first to the last, gaps included."""
        return np.asarray((frames >= self.frames[0]) & (frames <= self.frames[-1]))

    def at(self, frames: np.ndarray) -> np.ndarray:
        """Boxes (F, 4) in frames that the track covers, linear between those found."""
        return np.stack([np.interp(frames, self.frames, side) for side in self.boxes.T], 1)


def follow(
    frames: Sequence[int],
    found: Sequence[tuple[np.ndarray, np.ndarray]],
    overlap: float = 0.3,
    gap: int = 16,
) -> list[Track]:
    """Join the boxes of each person to tracks.

    From frame to frame, boxes and tracks are paired so that the sum of their IoU is largest
    (Hungarian method). A track waits with its last box for a person who is not found.

    Args:
        frames: numbers of the frames that the detector saw, ascending.
        found: boxes (N, 4) xyxy and scores (N,) of each of them.
        overlap: least IoU of a track's last box and its next one.
        gap: most frames between two boxes of a track.

    Returns:
        The tracks in order of first appearance.
    """
    tracks: list[list[tuple[int, np.ndarray, float]]] = []
    for frame, (boxes, scores) in zip(frames, found, strict=True):
        kept = _once_each(boxes, scores)
        alive = [track for track in tracks if frame - track[-1][0] <= gap]
        paired = _pairs(np.array([track[-1][1] for track in alive]), boxes[kept], overlap)
        for at, index in enumerate(kept):
            track: list[tuple[int, np.ndarray, float]] = []
            if at in paired:
                track = alive[paired[at]]
            else:
                tracks.append(track)
            track.append((frame, boxes[index], float(scores[index])))
    return [
        Track(
            np.array([frame for frame, _, _ in track]),
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
