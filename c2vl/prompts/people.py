"""Which of the people found in a frame do the action: those with the skeletons' colour joints."""

from __future__ import annotations

import numpy as np

from c2vl.core.boxes import iou

INSIDE = 0.5  # share of an actor's joints that its box must hold
SAME_PERSON = 0.5  # IoU from which two boxes are taken for one person


def joint_boxes(joints: np.ndarray) -> list[np.ndarray]:
    """The box (4,) xyxy of the finite joints of each actor present in (A, J, 2) pixels."""
    boxes = []
    for actor in joints:
        seen = actor[np.isfinite(actor).all(axis=-1)]
        if len(seen) > 1:
            boxes.append(np.concatenate([seen.min(axis=0), seen.max(axis=0)]))
    return boxes


def share_inside(joints: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Share (N,) of the finite joints of (J, 2) in each of `boxes` (N, 4); 0 if none is finite."""
    seen = joints[np.isfinite(joints).all(axis=-1)]
    inside = (seen[None] >= boxes[:, None, :2]).all(axis=2) & (
        seen[None] <= boxes[:, None, 2:]
    ).all(axis=2)  # (N, J)
    return np.asarray(inside.sum(axis=1) / max(len(seen), 1))


def choose(boxes: np.ndarray, scores: np.ndarray, joints: np.ndarray, people: int) -> list[int]:
    """Choose the boxes of the people of the action.

    With joints: for each actor present, among the boxes that hold at least half of its joints, the
    one that fits its joints best (IoU with their box; the score settles ties). Two actors may share
    a box when they embrace. Without any joint in this frame: the `people` best scored boxes that
    are not the same person twice.

    Args:
        boxes: (N, 4) xyxy, video pixels.
        scores: (N,).
        joints: (A, J, 2) video pixels, NaN where absent.
        people: actors of the clip, 1 or 2.

    Returns:
        Sorted indices into `boxes`; empty when nobody of the action was found.
    """
    if not len(boxes):
        return []
    present = [actor for actor in joints if len(joint_boxes(actor[None]))]
    if present:
        return sorted(
            {index for actor in present if (index := _of_actor(boxes, scores, actor)) is not None}
        )
    chosen: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        if len(chosen) < people and (
            not chosen or iou(boxes[index], boxes[chosen]).max() < SAME_PERSON
        ):
            chosen.append(index)
    return sorted(chosen)


def _of_actor(boxes: np.ndarray, scores: np.ndarray, actor: np.ndarray) -> int | None:
    fit = iou(joint_boxes(actor[None])[0], boxes)[0]
    fit[share_inside(actor, boxes) < INSIDE] = -1
    best = int(np.lexsort((-scores, -fit))[0])
    return best if fit[best] >= 0 else None
