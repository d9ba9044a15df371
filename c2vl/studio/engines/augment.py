"""Random changes to training pictures that do not change what they show."""

from __future__ import annotations

import numpy as np

# NTU joints, counted from 0; in a mirrored picture left and right change places.
LEFT = (4, 5, 6, 7, 12, 13, 14, 15, 21, 22)
RIGHT = (8, 9, 10, 11, 16, 17, 18, 19, 23, 24)


def mirrored_joints(joints: np.ndarray) -> np.ndarray:
    """Joints (..., 25, 2) in 0…1 of the picture, flipped left to right."""
    flipped = joints.copy()
    flipped[..., 0] = 1 - flipped[..., 0]
    flipped[..., [*LEFT, *RIGHT], :] = flipped[..., [*RIGHT, *LEFT], :]
    return flipped


def mirrored_boxes(boxes: np.ndarray) -> np.ndarray:
    """Boxes (P, 4) cxcywh in 0…1 of the picture, flipped left to right."""
    flipped = boxes.copy()
    flipped[:, 0] = 1 - flipped[:, 0]
    return flipped


def relit(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give each image (N, H, W, 3) in 0…1 its own brightness, contrast and tint."""
    count = len(images)
    gain = 1 + rng.normal(0, 0.12, (count, 1, 1, 3)).astype(np.float32)
    shift = rng.normal(0, 0.05, (count, 1, 1, 1)).astype(np.float32)
    return np.clip(images * gain + shift, 0, 1)
