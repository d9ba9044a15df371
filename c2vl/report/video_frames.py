"""Pictures for the page: a video frame or a crop as a small JPEG in a data URI."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from c2vl.datasets import raw_files as places
from c2vl.datasets.raw_files import PlaceError
from c2vl.datasets.video.decode import VideoError, decode


def frame_at(raw: Path, place: str, index: int) -> NDArray[np.uint8] | None:
    """One frame of a video in the raw folder.

    Args:
        raw: the raw folder.
        place: path of the video, or `archive.zip!member`.
        index: number of the frame, from 0.

    Returns:
        (H, W, 3) uint8 RGB, or None if the frame cannot be decoded.
    """
    try:
        with places.as_file(raw, place) as video:
            return decode(video, [index]).frames.get(index)
    except (VideoError, PlaceError):
        return None


def picture(jpeg: bytes) -> NDArray[np.uint8] | None:
    """Decode a JPEG to (H, W, 3) uint8 RGB; None if it is not a JPEG."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    return None if image is None else np.asarray(image[..., ::-1], dtype=np.uint8)


def data_uri(image: NDArray[np.uint8], longest: int, quality: int = 80) -> str:
    """Encode an (H, W, 3) uint8 RGB image as a JPEG data URI, at most `longest` pixels a side."""
    height, width = image.shape[:2]
    shrink = min(1.0, longest / max(height, width))
    if shrink < 1:
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    _, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()
