"""Boxes of people from the colour joints that the sensor recorded, and when they are doubtful.

A frame's joints are doubtful if, for one of the clip's actors,

- it has no joints in this frame,
- fewer than 60 % of its joints are tracked (the sensor guessed the others),
- fewer than 90 % of them lie in the image,
- its joints are less than 5 % of the image's height apart, or
- inferred joints decide its box: the box of all joints and that of the tracked ones have an IoU
  below 0.5.
"""

from __future__ import annotations

import numpy as np

from c2vl.core.boxes import iou
from c2vl.datasets.image_joints import on_video
from c2vl.prompts.frame import Frame
from c2vl.prompts.people import joint_boxes
from c2vl.prompts.window import JOINTS_TO_BODY, TRACKED, grown

VERSION = 1  # of what here changes a crop; raise it with the change
MIN_TRACKED = 0.6
MIN_INSIDE = 0.9
MIN_EXTENT = 0.05
MIN_AGREEMENT = 0.5


def boxes_of_joints(frame: Frame, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The box of each actor with joints in the image, a little larger than its joints.

    Args:
        frame: whose joints.
        size: width and height of the video, in pixels.

    Returns:
        Boxes (N, 4) float32 xyxy in pixels, and the share (N,) float32 of each actor's joints that
        are tracked.
    """
    boxes, scores = [], []
    placed = on_video(frame.colour, frame.colour_size, *size)
    for joints, states in zip(placed, frame.tracked, strict=True):
        for box in joint_boxes(joints[None]):
            x0, y0, x1, y1 = grown(box, JOINTS_TO_BODY, size)
            if x1 > x0 and y1 > y0:
                boxes.append((x0, y0, x1, y1))
                scores.append((states == TRACKED).mean())
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32)


def boxes_in(image: np.ndarray, frame: Frame) -> dict[str, np.ndarray]:
    """`boxes` and `scores`, as a detector's row has them, of a frame and its image (H, W, 3)."""
    height, width = image.shape[:2]
    boxes, scores = boxes_of_joints(frame, (width, height))
    return {"boxes": boxes, "scores": scores}


def doubtful(frame: Frame) -> bool:
    """Whether a detector should look at a frame, by the rules above."""
    present = [at for at, joints in enumerate(frame.colour) if joint_boxes(joints[None])]
    return len(present) < frame.people or any(
        _doubtful(frame.colour[at], frame.tracked[at], frame.colour_size) for at in present
    )


def _doubtful(joints: np.ndarray, states: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether the joints (V, 2) of an actor, in pixels of an image of `size`, are doubtful."""
    known = np.isfinite(joints).all(axis=-1)
    if (states == TRACKED).mean() < MIN_TRACKED:
        return True
    inside = known & (joints >= 0).all(axis=-1) & (joints <= np.array(size)).all(axis=-1)
    if inside.mean() < MIN_INSIDE:
        return True
    ((x0, y0, x1, y1),) = joint_boxes(joints[None])
    if max(x1 - x0, y1 - y0) < MIN_EXTENT * size[1]:
        return True
    seen = joint_boxes(joints[known & (states == TRACKED)][None])
    return not seen or bool(iou(np.array([x0, y0, x1, y1]), seen[0])[0, 0] < MIN_AGREEMENT)
