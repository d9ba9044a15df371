"""A frame of a video before and after decoding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from c2vl.datasets import raw_files as places
from c2vl.datasets.raw_files import PlaceError
from c2vl.datasets.video.backends import DEFAULT, Backend, VideoError
from c2vl.datasets.video.decode import decode
from c2vl.store.stage import Failure

CHANGED = Failure("changed", "the video file changed after the index was made; run `dvc repro`")
CUT_SHORT = Failure(
    "missing_frame",
    "the video ends before this frame; the file is cut short or its header is wrong",
)


@dataclass(frozen=True, slots=True)
class Frame:
    """What is known of a frame before it is decoded.

    Attributes:
        raw: folder of the raw files.
        video: the video's place in it.
        video_hash: digest of the video, as in the index.
        index: of the frame.
        colour: joints of the actors, (M, V, 2) float32, in pixels of an image, NaN where absent.
        tracked: their tracking states, (M, V) uint8.
        colour_size: width and height of that image.
        people: actors of the clip, 1 to M.
        detect: whether the detector has to look at it; else its boxes are known.
        by_joints: whether its boxes are those of the joints.
    """

    raw: Path
    video: str
    video_hash: str
    index: int
    colour: np.ndarray
    tracked: np.ndarray
    colour_size: tuple[int, int]
    people: int
    detect: bool = True
    by_joints: bool = False


def read_frames(frames: Iterable[Frame], backend: Backend = DEFAULT) -> list[Any]:
    """The image (H, W, 3) uint8 RGB of each frame, or the `Failure` that says why there is none.

    Neighbours of one video share its opening.
    """
    videos = groupby(frames, key=lambda frame: (frame.raw, frame.video, frame.video_hash))
    return [
        image
        for (raw, place, content), group in videos
        for image in read_images(raw, place, content, [frame.index for frame in group], backend)
    ]


def read_images(
    raw: Path, place: str, content: str, indices: Sequence[int], backend: Backend = DEFAULT
) -> list[Any]:
    """As `read_frames`, for frames of one video: its place, its hash, and their numbers."""
    try:
        with places.as_file(raw, place) as path:
            if places.digest(path) != content:  # the key is of another content
                return [CHANGED] * len(indices)
            decoded = decode(path, indices, backend)
    except (VideoError, PlaceError, OSError) as error:
        reason = (
            f"the video file cannot be read ({error.strerror})"
            if isinstance(error, OSError)
            else str(error)
        )
        return [Failure("unreadable", reason)] * len(indices)
    return [decoded.frames.get(index, CUT_SHORT) for index in indices]
