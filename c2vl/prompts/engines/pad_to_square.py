"""Pad an image to a square, as the original LLaVA does before it resizes."""

from __future__ import annotations

from typing import Any

import numpy as np

Colour = tuple[int, int, int]


def mean_colour(image_processor: Any) -> Colour:
    """The colour (RGB) that a processor's normalisation turns into zero; grey if it has none."""
    mean = getattr(image_processor, "image_mean", None) or 0.5
    red, green, blue = (mean,) * 3 if isinstance(mean, float) else mean  # Fuyu has one number
    return int(red * 255), int(green * 255), int(blue * 255)


def pad_to_square(image: np.ndarray, colour: Colour) -> np.ndarray:
    """Centre `image` (H, W, 3) uint8 on a square of `colour` (RGB).

    Source: `expand2square` of LLaVA's repository.
    """
    height, width = image.shape[:2]
    side = max(height, width)
    square = np.empty((side, side, 3), np.uint8)
    square[:] = colour
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = image
    return square
