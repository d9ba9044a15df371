"""Brings joints into the coordinates of the skeleton table: about a joint, or about the image."""

from __future__ import annotations

import numpy as np

from c2vl.core.layout import SEEN, SkeletonLayout


def centred_on(joints: np.ndarray, layout: SkeletonLayout) -> np.ndarray:
    """Subtract the place of the first person's centre in their first frame; empty slots stay zero.

    Args:
        joints: (T, M, V, 3) metres, zero where a person is absent.
        layout: a 3D skeleton; its `centre` is the mean of the joints it names.

    Raises:
        ValueError: the first person is nowhere, or all that is left is zero.
    """
    real = np.asarray(joints.any(axis=(2, 3)))  # (T, M)
    if not real[:, 0].any():
        raise ValueError("the joints of the first actor are all zero")
    centre = joints[real[:, 0].argmax(), 0][list(layout.centre)].mean(axis=0)
    moved: np.ndarray = np.where(real[..., None, None], joints - centre, np.float32(0))
    if not moved.any():
        raise ValueError("all joints lie in one point")
    return moved


def relative_to_image(joints: np.ndarray, width: int, height: int) -> np.ndarray:
    """Pixels to -1…1 from the centre of the image, x and y each by half the size.

    Joints that are not seen get x = y = 0 and keep their score. Source: pyskl's `PreNormalize2D`
    (`mode='fix'`, Duan et al., ACM MM 2022).

    Args:
        joints: (..., 3) x, y in pixels, and the score.
        width, height: of the image that the pixels belong to.
    """
    half = np.array([width / 2, height / 2], joints.dtype)
    made: np.ndarray = joints.copy()
    made[..., :2] = (joints[..., :2] - half) / half
    made[..., :2][joints[..., 2] <= SEEN] = 0
    return made


def in_pixels(joints: np.ndarray, width: int, height: int) -> np.ndarray:
    """What `relative_to_image` took: (..., 2) x and y in pixels, NaN where a joint is not seen."""
    half = np.array([width / 2, height / 2], joints.dtype)
    return np.where(joints[..., 2:] > SEEN, joints[..., :2] * half + half, np.nan)
