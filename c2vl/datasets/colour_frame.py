"""The Kinect's colour frame, in whose pixels NTU's colour joints are given."""

from __future__ import annotations

import numpy as np

COLOUR_FRAME = (1920, 1080)  # whatever size the videos have now


def on_video(colour: np.ndarray, width: int, height: int) -> np.ndarray:
    """Map colour joints (..., 2) of the 1920x1080 frame to the pixels of a video.

    Args:
        colour: joints in pixels of the colour frame; the result has their precision.
        width, height: size of the video in pixels.
    """
    size, frame = np.array([width, height], colour.dtype), np.array(COLOUR_FRAME, colour.dtype)
    return np.asarray(colour * (size / frame))
