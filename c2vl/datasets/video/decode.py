"""Decode given frames of a video, frame-exact, with decord if it is installed, else with OpenCV.

Both hand out the same pixels (measured: no difference on XVID, MPEG-4 and MJPEG), so the decoder is
not part of a content key. A video is opened once for all its frames.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np


class VideoError(Exception):
    """A video cannot be read at all; the text is a reason fit for a table row."""


@dataclass(frozen=True)
class Decoded:
    """Frames of one video.

    Attributes:
        frames: (H, W, 3) uint8 RGB by frame index, of those asked for that the file really holds.
        missing: the others, sorted.
        available: frames that decode, or None where it was not necessary to find out.
    """

    frames: dict[int, np.ndarray]
    missing: list[int]
    available: int | None


def decode(path: Path, indices: Iterable[int]) -> Decoded:
    """Decode the frames at `indices` (from 0) of the video at `path`.

    A truncated file declares more frames than it holds: frames past its end are reported missing.

    Raises:
        VideoError: the file is not there, or no decoder makes sense of it.
    """
    wanted = sorted(set(indices))
    if not path.is_file():
        raise VideoError("the video file is not there")
    return decoder()(path, wanted)


@functools.cache
def decoder() -> Callable[[Path, list[int]], Decoded]:
    """Return `with_decord` where decord is installed, else `with_opencv`."""
    # libav writes its complaints about every damaged block to stderr; what matters of them is
    # in the result.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import decord
    except (ImportError, OSError):
        return with_opencv
    decord.logging.set_level(decord.logging.QUIET)
    return with_decord


def with_decord(path: Path, wanted: list[int]) -> Decoded:
    """`decode` by decord, which indexes the file first and so knows how many frames it holds."""
    import decord

    try:
        reader = decord.VideoReader(str(path), num_threads=1)
        available = len(reader)
        found = [index for index in wanted if index < available]
        frames = reader.get_batch(found).asnumpy() if found else []
    except (RuntimeError, decord.DECORDError):
        return with_opencv(path, wanted)  # decord gives a whole batch up for one bad frame
    return Decoded(dict(zip(found, frames, strict=True)), wanted[len(found) :], available)


def with_opencv(path: Path, wanted: list[int]) -> Decoded:
    """`decode` by OpenCV: frames up to the last wanted one are grabbed, wanted ones converted."""
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise VideoError("the video file is not readable as a video")
        frames: dict[int, np.ndarray] = {}
        available = None
        for index in range(wanted[-1] + 1 if wanted else 0):
            if not capture.grab():
                available = index
                break
            if index in wanted:
                decoded, image = capture.retrieve()
                if decoded:
                    frames[index] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return Decoded(frames, [index for index in wanted if index not in frames], available)
    finally:
        capture.release()
