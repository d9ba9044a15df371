"""A frame of a video before and after decoding."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from c2vl.store.work import Failure
from c2vl.video.decode import VideoError, decode


@dataclass(frozen=True, slots=True)
class Frame:
    """What there is to know of a frame before it is decoded."""

    video: Path
    video_hash: str
    index: int
    colour: np.ndarray  # (2, 25, 2) float32, pixels of 1920x1080, NaN where absent
    tracked: np.ndarray  # (2, 25) uint8
    people: int


def read_frames(frames: Iterable[Frame]) -> list[Any]:
    """The image (H, W, 3) uint8 RGB of each frame, or the `Failure` that says why there is none.

    Neighbours of one video share its opening.
    """
    return [image for video, group in groupby(frames, key=lambda frame: frame.video) for image in _decoded(video, list(group))]


def _decoded(video: Path, frames: list[Frame]) -> list[Any]:
    """The images of `frames`, all of one video, or why there is none."""
    try:
        content = hashlib.blake2b(video.read_bytes(), digest_size=16).hexdigest()
        if content != frames[0].video_hash:  # else the store would keep a result under a key that is not its own
            return [Failure("changed", "the video file changed after the index was made; run `dvc repro`")] * len(frames)
        decoded = decode(video, [frame.index for frame in frames])
    except (VideoError, OSError) as error:
        reason = str(error) if isinstance(error, VideoError) else f"the video file cannot be read ({error.strerror})"
        return [Failure("unreadable", reason)] * len(frames)
    cut = Failure("missing_frame", "the video ends before this frame; the file is cut short or its header is wrong")
    return [decoded.frames.get(frame.index, cut) for frame in frames]
