"""Crops as JPEG bytes, and back."""

from __future__ import annotations

import cv2
import numpy as np


def to_jpeg(image: np.ndarray, quality: int) -> bytes:
    """Encode (H, W, 3) uint8 RGB."""
    done, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise ValueError("the crop cannot be encoded")
    return encoded.tobytes()


def from_jpeg(content: bytes) -> np.ndarray:
    """Decode to (H, W, 3) uint8 RGB.

    Raises:
        ValueError: the bytes are no image.
    """
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if image is None:
        raise ValueError("the crop is not a JPEG")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
