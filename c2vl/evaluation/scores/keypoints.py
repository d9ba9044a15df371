"""PCK: the share of joints that are found near their true places.

A joint is right if it lies within 0.2 torso diameters of the truth. The torso diameter is the
distance from the left shoulder to the right hip, as in Sapp and Taskar (CVPR 2013) and on J-HMDB.
Yang and Ramanan (PAMI 2013) take the longer side of the person's box instead, which is 3 to 4 times
as long, so their score is higher. Only joints that can be seen count.
"""

from __future__ import annotations

import numpy as np

JOINTS = 17
SHARE = 0.2
LEFT_SHOULDER, RIGHT_HIP = 5, 12  # of COCO's joints
NAMES = ("nose", "eyes", "ears", "shoulders", "elbows", "wrists", "hips", "knees", "ankles")


def right_joints(
    found: np.ndarray, truth: np.ndarray, sizes: np.ndarray, share: float = SHARE
) -> np.ndarray:
    """Mask (N, 17) of the joints that lie within `share` times `sizes` (N,) of the truth.

    Args:
        found: (N, 17, 2 or more) x and y; NaN where nobody was found.
        truth: (N, 17, 3) x, y, visible.
        sizes: (N,) in the same unit.
        share: of a size.
    """
    away = np.linalg.norm(found[..., :2] - truth[..., :2], axis=-1)
    return np.asarray((away <= share * sizes[:, None]) & (truth[..., 2] > 0))


def torso_sizes(truth: np.ndarray) -> np.ndarray:
    """Torso diameters (N,) of true joints (N, 17, 3)."""
    ends = truth[:, LEFT_SHOULDER, :2] - truth[:, RIGHT_HIP, :2]
    return np.asarray(np.linalg.norm(ends, axis=-1))


def box_sizes(boxes: np.ndarray) -> np.ndarray:
    """Longer sides (N,) of boxes (N, 4) xyxy."""
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).max(1))


def pck(found: np.ndarray, truth: np.ndarray, boxes: np.ndarray) -> dict[str, float]:
    """PCK at 0.2 of all visible joints: by the torso (`pck`), by the box (`pck_box`), by joint.

    Args:
        found: (N, 17, 2 or more) x and y; NaN where nobody was found: all these joints are wrong.
        truth: (N, 17, 3) x, y, visible.
        boxes: (N, 4) true boxes, xyxy.
    """
    visible = truth[..., 2] > 0
    right = right_joints(found, truth, torso_sizes(truth))
    scores = {
        "pck": _share(right, visible),
        "pck_box": _share(right_joints(found, truth, box_sizes(boxes)), visible),
    }
    for number, name in enumerate(NAMES):
        columns = [0] if number == 0 else [2 * number - 1, 2 * number]
        scores[f"pck_{name}"] = _share(right[:, columns], visible[:, columns])
    return {**scores, "people": len(truth), "joints": int(visible.sum())}


def _share(right: np.ndarray, visible: np.ndarray) -> float:
    return round(float(right.sum() / max(1, visible.sum())), 4)
