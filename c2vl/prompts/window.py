"""The crop window: the union of the people of the action plus a margin, cut to the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from c2vl.datasets.image_joints import on_video
from c2vl.prompts.people import INSIDE, choose, joint_boxes, share_inside

Fallback = Literal["skeleton", "frame", "drop"]
TRACKED = 2  # tracking state of a joint that the sensor saw; 1 is inferred
JOINTS_TO_BODY = (
    0.1  # a body reaches past its joints by about this share of their extent: scalp, hands, shoes
)
SMALLEST = 4  # pixels; less is no picture
Corners = tuple[int, int, int, int]  # x0, y0, x1, y1 in whole pixels
NO_JOINTS = "the sensor recorded no colour joints in the image"
NOWHERE: Corners = (-1, -1, -1, -1)  # holds no pixel


@dataclass(frozen=True)
class Window:
    """Where to crop one frame, and why.

    Attributes:
        corners: x0, y0, x1, y1 in whole video pixels, or None when there is no crop.
        chosen: indices of the detections in it.
        coverage: share of the tracked colour joints in the image that are inside the window around
            the people found, 0 if none was; NaN without such joints.
        reason: what was done when nobody, or not everybody, was found; else empty.
    """

    corners: Corners | None
    chosen: list[int]
    coverage: float
    reason: str


def find_window(
    boxes: np.ndarray,
    scores: np.ndarray,
    colour: np.ndarray,
    tracked: np.ndarray,
    colour_size: tuple[int, int],
    people: int,
    size: tuple[int, int],
    margin: float,
    fallback: Fallback,
    square: bool = False,
    by_joints: bool = False,
) -> Window:
    """Decide where to crop a frame.

    Args:
        boxes: (N, 4) xyxy, video pixels: the people found.
        scores: (N,).
        colour: (M, V, 2), joints of the actors in pixels of an image, NaN where absent.
        tracked: (M, V), their tracking states.
        colour_size: width and height of that image, whatever size the video has.
        people: actors of the clip, 1 to M.
        size: width and height of the video, pixels.
        margin: added on each side, as a share of the box's size.
        fallback: what to do when nobody of the action was found.
        square: widen the window to a square, as far as the image goes.
        by_joints: the boxes are those of the actors' joints.
    """
    joints = on_video(colour, colour_size, *size)
    chosen = [*range(len(boxes))] if by_joints else choose(boxes, scores, joints, people)
    bodies = [] if by_joints else joint_boxes(joints)  # else they have boxes already
    found = "the people found are not where the skeleton is" if len(boxes) else "nobody was found"
    found = NO_JOINTS if by_joints else found
    detected = grown(union(boxes[chosen]), margin, size) if chosen else None
    if detected:
        corners: Corners | None = detected
        missed = [] if by_joints else joint_boxes(_missed(boxes[chosen], joints))
        reason = "one of the two actors was not found" if missed else ""
        if missed and fallback == "skeleton":
            added = grown(union(np.stack(missed)), margin + JOINTS_TO_BODY, size)
            corners = _around(detected, added)
            reason += "; the skeleton's joints were added to the crop"
    elif fallback == "skeleton" and bodies:
        corners = grown(union(np.stack(bodies)), margin + JOINTS_TO_BODY, size)
        reason = f"{found}; cropped around the skeleton's joints"
    elif fallback == "frame":
        corners, reason = (0, 0, *size), f"{found}; kept the whole frame"
    else:
        corners, reason = (
            None,
            found
            if fallback == "drop" or by_joints
            else f"{found}, and there are no colour joints to crop around",
        )
    if square:
        corners, detected = (each and squared(each, size) for each in (corners, detected))
    if corners and min(corners[2] - corners[0], corners[3] - corners[1]) < SMALLEST:
        corners = None
        reason = found if by_joints else f"{found}, and the skeleton lies outside the image"
    covered = coverage(corners and (detected or NOWHERE), joints, tracked, size)
    return Window(corners, chosen, covered, reason)


def union(boxes: np.ndarray) -> np.ndarray:
    """The smallest box (4,) around `boxes` (N, 4)."""
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


def grown(box: np.ndarray, margin: float, size: tuple[int, int]) -> Corners:
    """`box` with `margin` of its size on each side, in whole pixels, cut to the image."""
    extra = margin * (box[2:] - box[:2])
    limits = np.array([*size, *size])
    low, high = np.floor(box[:2] - extra), np.ceil(box[2:] + extra)
    x0, y0, x1, y1 = np.clip(np.concatenate([low, high]), 0, limits).astype(int).tolist()
    return x0, y0, x1, y1


def squared(corners: Corners, size: tuple[int, int]) -> Corners:
    """Widen the window's shorter side around the middle; move it into the image or cut it.

    Examples:
        >>> squared((10, 0, 20, 40), (100, 40))
        (0, 0, 40, 40)
    """
    x0, y0, x1, y1 = corners
    side = max(x1 - x0, y1 - y0)

    def widened(low: int, high: int, limit: int) -> tuple[int, int]:
        low = min(max(low - (side - (high - low)) // 2, 0), max(limit - side, 0))
        return low, min(low + side, limit)

    (x0, x1), (y0, y1) = widened(x0, x1, size[0]), widened(y0, y1, size[1])
    return x0, y0, x1, y1


def coverage(
    corners: Corners | None,
    joints: np.ndarray,
    tracked: np.ndarray,
    size: tuple[int, int],
) -> float:
    """Share of the tracked joints (A, J, 2) in the image that are inside the window."""
    if corners is None:
        return float("nan")
    seen = joints[(tracked == TRACKED) & np.isfinite(joints).all(axis=-1)]
    seen = seen[((seen >= 0) & (seen <= np.array(size))).all(axis=1)]
    return float(share_inside(seen, np.array([corners], float))[0]) if len(seen) else float("nan")


def _around(one: Corners, other: Corners) -> Corners:
    """The smallest window around two windows."""
    x0, y0 = min(one[0], other[0]), min(one[1], other[1])
    return x0, y0, max(one[2], other[2]), max(one[3], other[3])


def _missed(boxes: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Joints (A', J, 2) of the actors present in this frame whom no box holds by half."""
    found = [share_inside(actor, boxes).max() >= INSIDE for actor in joints]
    present = [len(joint_boxes(actor[None])) > 0 for actor in joints]
    return joints[np.array(present) & ~np.array(found)]
