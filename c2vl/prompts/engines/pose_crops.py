"""Cuts people out of images as ViTPose wants them, and finds joints in its heatmaps.

The results are those of transformers' `VitPoseImageProcessorPil`, which does the same one picture
and one joint at a time; a test compares them. Both follow the unbiased data processing (UDP) of
Huang et al., CVPR 2020: the first and the last pixel of a crop and of a heatmap lie on each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PADDING = 1.25  # a crop is this much larger than the box, as in ViTPose's training
SMOOTHING, RADIUS = 0.8, 5  # of the heatmaps before DARK; transformers' kernel of 11
LARGEST_STEP = 2.0  # cells of a heatmap


@dataclass(frozen=True)
class Region:
    """The part of an image that a crop shows: middle (2,) and size (2,), x and y in pixels."""

    middle: NDArray[np.float64]
    size: NDArray[np.float64]


def region(box: NDArray[np.floating], shape: tuple[int, int]) -> Region:
    """The region of a box (4,) xyxy: padded, and with the proportions of `shape`.

    Args:
        box: pixels of the image.
        shape: height and width of the crop.
    """
    x0, y0, x1, y1 = (float(edge) for edge in box)
    width, height = x1 - x0, y1 - y0
    proportion = shape[1] / shape[0]
    if width > proportion * height:
        height = width / proportion
    else:
        width = height * proportion
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    return Region(middle, np.array([width, height]) * PADDING)


def cut(image: NDArray[np.uint8], where: Region, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The crop (h, w, 3) of a region, bilinear; black outside the image.

    Args:
        image: (H, W, 3) uint8 RGB.
        where: the region.
        shape: height and width of the crop.
    """
    x0, x1, fx, in_x = _grid(where.middle[0], where.size[0], shape[1], image.shape[1])
    y0, y1, fy, in_y = _grid(where.middle[1], where.size[1], shape[0], image.shape[0])
    left, right = int(x0.min()), int(x1.max()) + 1
    part = image[:, left:right]
    fx, fy = fx[None, :, None], fy[:, None, None]
    rows = part[y0] * (1 - fy) + part[y1] * fy
    values = rows[:, x0 - left] * (1 - fx) + rows[:, x1 - left] * fx
    values[~in_y] = 0
    values[:, ~in_x] = 0
    return (values + 0.5).astype(np.uint8)


def _grid(
    middle: float, size: float, count: int, limit: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """Pixels before and after each of `count` places, the share of the second, and which exist."""
    places = middle + (np.arange(count) - (count - 1) / 2) * (size / (count - 1))
    inside = (places >= 0) & (places <= limit - 1)
    places = places.clip(0, limit - 1)
    before = np.floor(places).astype(np.int64)
    return before, np.minimum(before + 1, limit - 1), places - before, inside


def to_crop(points: NDArray[np.floating], where: Region) -> NDArray[np.float64]:
    """Points (..., 2) of the image as shares of the crop: 0 is its first pixel, 1 its last."""
    shares: NDArray[np.float64] = (points - where.middle) / where.size + 0.5
    return shares


def to_image(shares: NDArray[np.floating], where: Region) -> NDArray[np.float64]:
    """The inverse of `to_crop`."""
    points: NDArray[np.float64] = (shares - 0.5) * where.size + where.middle
    return points


def joints_of(
    heatmaps: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Joints of N crops by DARK (Zhang et al., CVPR 2020), with UDP's one Newton step.

    Args:
        heatmaps: (N, J, h, w).

    Returns:
        (N, J, 2) x and y as shares of the crop, as `to_crop`; and scores (N, J): the maxima.
    """
    from scipy.ndimage import gaussian_filter

    count, joints, height, width = heatmaps.shape
    flat = heatmaps.reshape(count, joints, -1)
    best = flat.argmax(-1)
    scores = flat.max(-1)
    smooth = gaussian_filter(heatmaps, SMOOTHING, radius=(RADIUS, RADIUS), axes=(2, 3))
    logs = np.log(smooth.clip(0.001, 50)).reshape(count, joints, height, width)
    padded = np.pad(logs, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    y, x = np.divmod(best, width)
    one, joint = np.arange(count)[:, None], np.arange(joints)[None]

    def at(dx: int, dy: int) -> NDArray[np.float32]:
        values: NDArray[np.float32] = padded[one, joint, y + 1 + dy, x + 1 + dx]
        return values

    centre = at(0, 0)
    slope = np.stack([(at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2], -1)
    xx = at(1, 0) - 2 * centre + at(-1, 0)
    yy = at(0, 1) - 2 * centre + at(0, -1)
    xy = (at(1, 1) - at(1, 0) - at(0, 1) + 2 * centre - at(-1, 0) - at(0, -1) + at(-1, -1)) / 2
    tiny = np.finfo(np.float32).eps
    curve = np.stack([np.stack([xx + tiny, xy], -1), np.stack([xy, yy + tiny], -1)], -2)
    step = np.linalg.solve(curve.astype(np.float64), slope.astype(np.float64)[..., None])[..., 0]
    # Off a peak the step has no meaning and may be huge; then the maximum itself is the joint.
    step[np.abs(step).max(-1) > LARGEST_STEP] = 0
    places = np.stack([x, y], -1) - step
    places[scores <= 0] = -1  # no maximum: transformers puts the joint there, too
    return places / (width - 1, height - 1), scores
