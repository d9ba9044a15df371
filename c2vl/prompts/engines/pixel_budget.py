"""Limit how many pixels of a crop a captioner sees, and so how many tokens a crop costs."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np


def set_pixel_budget(image_processor: Any, config: Any, max_pixels: int) -> bool:
    """Set the budget in an image processor's own terms, if it has any.

    - Qwen-VL, GLM-V and others have `max_pixels` themselves: the area after resizing.
    - LLaVA-NeXT and LLaVA-OneVision fit an image into one of several canvases: those within the
      budget stay, or the smallest. The model reads the list from its config.
    - InternVL and Aya Vision cut an image into at most `max_patches` tiles.
    - Idefics3 and SmolVLM scale an image to `longest_edge` and cut it into tiles.

    Args:
        image_processor: changed in place.
        config: of the model; changed in place.
        max_pixels: the budget.

    Returns:
        Whether the processor keeps to the budget now. If not, scale images down before: `shrunk`.
    """
    size: Any = getattr(image_processor, "size", None)
    options = getattr(getattr(image_processor, "valid_kwargs", None), "__annotations__", {})
    if "max_pixels" in options and getattr(size, "longest_edge", None):
        least = min(size.shortest_edge, max_pixels)
        image_processor.size = type(size)(shortest_edge=least, longest_edge=max_pixels)
        return True
    if canvases := getattr(image_processor, "image_grid_pinpoints", None):
        smallest = min(height * width for height, width in canvases)
        most = max(max_pixels, smallest)
        kept = [list(one) for one in canvases if one[0] * one[1] <= most]
        image_processor.image_grid_pinpoints = config.image_grid_pinpoints = kept
        return True
    if "max_patches" in options and getattr(size, "height", None):
        tiles = max_pixels // (size.height * size.width)
        image_processor.max_patches = max(image_processor.min_patches, tiles)
        return True
    if "do_image_splitting" in options and getattr(size, "longest_edge", None):
        tile = image_processor.max_image_size["longest_edge"]
        edge = tile * max(1, math.isqrt(max_pixels) // tile)
        image_processor.size = type(size)(longest_edge=edge)
        return True
    return False


def shrunk(image: np.ndarray, max_pixels: int) -> np.ndarray:
    """Scale `image` (H, W, 3) uint8 down to at most `max_pixels`; its aspect stays."""
    height, width = image.shape[:2]
    if height * width <= max_pixels:
        return image
    scale = math.sqrt(max_pixels / (height * width))
    size = max(1, int(width * scale)), max(1, int(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
