"""Boxes of people from the colour joints that the sensor recorded, and when they are doubtful.

A frame's joints are doubtful if, for one of the clip's actors,

- it has no joints in this frame,
- fewer than 60 % of its 25 joints are tracked (the sensor guessed the others),
- fewer than 90 % of them lie in the image,
- its joints are less than 5 % of the image's height apart, or
- inferred joints decide its box: the box of all joints and that of the tracked ones have an IoU
  below 0.5.
"""

from __future__ import annotations

import numpy as np

from c2vl.core.boxes import iou
from c2vl.datasets.colour_frame import COLOUR_FRAME, on_video
from c2vl.prompts.frame import Frame
from c2vl.prompts.people import joint_boxes
from c2vl.prompts.window import JOINTS_TO_BODY, TRACKED, grown

VERSION = 1  # of what here changes a crop; raise it with the change
MIN_TRACKED = 0.6
MIN_INSIDE = 0.9
MIN_EXTENT = 0.05
MIN_AGREEMENT = 0.5


def boxes_of_joints(
    colour: np.ndarray, tracked: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The box of each actor with joints in the image, a little larger than its joints.

    Args:
        colour: (2, 25, 2), joints in the 1920x1080 frame, NaN where absent.
        tracked: (2, 25), their tracking states.
        size: width and height of the video, in pixels.

    Returns:
        Boxes (N, 4) float32 xyxy in pixels, and the share (N,) float32 of each actor's joints that
        are tracked.
    """
    boxes, scores = [], []
    for joints, states in zip(on_video(colour, *size), tracked, strict=True):
        for box in joint_boxes(joints[None]):
            x0, y0, x1, y1 = grown(box, JOINTS_TO_BODY, size)
            if x1 > x0 and y1 > y0:
                boxes.append((x0, y0, x1, y1))
                scores.append((states == TRACKED).mean())
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32)


def boxes_in(image: np.ndarray, frame: Frame) -> dict[str, np.ndarray]:
    """`boxes` and `scores`, as a detector's row has them, of a frame and its image (H, W, 3)."""
    height, width = image.shape[:2]
    boxes, scores = boxes_of_joints(frame.colour, frame.tracked, (width, height))
    return {"boxes": boxes, "scores": scores}


def doubtful(colour: np.ndarray, tracked: np.ndarray, people: int) -> bool:
    """Whether a detector should look at a frame, by the rules above.

    Args:
        colour: (2, 25, 2), joints in the 1920x1080 frame, NaN where absent.
        tracked: (2, 25), their tracking states.
        people: actors of the clip, 1 or 2.
    """
    present = [at for at in range(len(colour)) if joint_boxes(colour[at][None])]
    return len(present) < people or any(_doubtful(colour[at], tracked[at]) for at in present)


def _doubtful(joints: np.ndarray, states: np.ndarray) -> bool:
    """Whether the joints (25, 2) of an actor are doubtful."""
    known = np.isfinite(joints).all(axis=-1)
    if (states == TRACKED).mean() < MIN_TRACKED:
        return True
    inside = known & (joints >= 0).all(axis=-1) & (joints <= np.array(COLOUR_FRAME)).all(axis=-1)
    if inside.mean() < MIN_INSIDE:
        return True
    ((x0, y0, x1, y1),) = joint_boxes(joints[None])
    if max(x1 - x0, y1 - y0) < MIN_EXTENT * COLOUR_FRAME[1]:
        return True
    seen = joint_boxes(joints[known & (states == TRACKED)][None])
    return not seen or bool(iou(np.array([x0, y0, x1, y1]), seen[0])[0, 0] < MIN_AGREEMENT)
