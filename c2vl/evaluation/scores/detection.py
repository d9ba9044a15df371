"""Person detection against true boxes: recall, precision and overlap at one IoU threshold.

The matching is PASCAL VOC's and COCO's: detections in order of falling confidence each take the
unmatched true box they overlap most, if they overlap it enough; what is left over on either side is
a false positive or a miss.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c2vl.core.boxes import iou

Boxes = NDArray[np.floating]  # (N, 4): x0 y0 x1 y1, pixels


@dataclass(frozen=True)
class Match:
    """One frame's matching.

    Args:
        people: true boxes in the frame.
        detections: boxes the detector gave.
        overlaps: IoU of each matched pair.
    """

    people: int
    detections: int
    overlaps: tuple[float, ...]

    @property
    def matched(self) -> int:
        """Pairs of a detection and a true box."""
        return len(self.overlaps)


def match(
    boxes: Boxes, scores: NDArray[np.floating], truth: Boxes, threshold: float = 0.5
) -> Match:
    """Match the detections of one frame to its true boxes, greedily and one to one.

    Args:
        boxes: (N, 4) detected boxes, xyxy pixels.
        scores: (N,) confidences; equal ones keep the detector's order.
        truth: (M, 4) true boxes, xyxy pixels.
        threshold: least IoU of a match.
    """
    overlap = iou(np.asarray(boxes, np.float64), np.asarray(truth, np.float64))
    found: list[float] = []
    for detection in np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable"):
        if overlap.shape[1] == 0:
            break
        best = int(np.argmax(overlap[detection]))
        if overlap[detection, best] >= threshold:
            found.append(float(overlap[detection, best]))
            overlap[:, best] = -1.0  # taken
    return Match(people=overlap.shape[1], detections=overlap.shape[0], overlaps=tuple(found))


def summarise(matches: Iterable[Match]) -> dict[str, float | int | None]:
    """Pool the frames: recall, precision (None if undefined) and mean IoU of the matched."""
    frames = list(matches)
    people, detections = sum(m.people for m in frames), sum(m.detections for m in frames)
    overlaps = [overlap for m in frames for overlap in m.overlaps]
    return {
        "frames": len(frames),
        "people": people,
        "detections": detections,
        "matched": len(overlaps),
        "recall": len(overlaps) / people if people else None,
        "precision": len(overlaps) / detections if detections else None,
        "mean_iou": float(np.mean(overlaps)) if overlaps else None,
    }
