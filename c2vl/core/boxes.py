"""Boxes in pixels, as (x0, y0, x1, y1)."""

from __future__ import annotations

import numpy as np


def iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4), in the boxes' own precision.

    A box without area overlaps nothing.
    """
    kind = np.result_type(first, second, np.float16)
    a = np.asarray(first, kind).reshape(-1, 1, 4)
    b = np.asarray(second, kind).reshape(1, -1, 4)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])  # (N, M, 2)
    shared = np.clip(sides, 0, None).prod(axis=-1)
    area_a, area_b = (np.clip(box[..., 2:] - box[..., :2], 0, None).prod(axis=-1) for box in (a, b))
    union = area_a + area_b - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
