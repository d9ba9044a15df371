"""Where a clip's joints are in its video: the sensor's colour joints, or 2D joints themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from c2vl.core.layout import SEEN, SkeletonLayout
from c2vl.datasets.skeletons.coordinates import in_pixels

WHOLE = (2, 2)  # size of an image whose pixels are 2D joints: they are -1 to 1 over it
SEEN_STATE = 2  # the Kinect's state `tracked`


@dataclass(frozen=True)
class ImageJoints:
    """Joints of a clip in its images.

    Attributes:
        points: (F, M, V, 2) float32, by frame of the file, NaN where absent.
        tracked: (F, M, V) uint8, 2 where a joint was seen, 1 inferred, 0 absent.
        size: width and height of the image that `points` are pixels of; the video may have another.
        frames: of the clip, if F are the middles of F equal parts of it; None: F.
    """

    points: np.ndarray
    tracked: np.ndarray
    size: tuple[int, int]
    frames: int | None = None

    def at(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """(points, tracked) of a frame, or of the last one: one file may be some frames shorter."""
        count = len(self.points)
        part = frame * count // self.frames if self.frames else frame
        row = min(part, count - 1)
        return self.points[row], self.tracked[row]


def nowhere(layout: SkeletonLayout) -> ImageJoints:
    """One frame in which no joint is known."""
    shape = layout.shape[:2]
    points = np.full((1, *shape, 2), np.nan, np.float32)
    return ImageJoints(points, np.zeros((1, *shape), np.uint8), WHOLE)


def columns_of(layout: SkeletonLayout) -> list[str]:
    """The columns of the skeleton table that `image_joints` reads."""
    return ["colour", "tracked"] if layout.three_d else ["joints", "file_frames", "frames_dropped"]


def image_joints(row: Mapping[str, Any], layout: SkeletonLayout) -> ImageJoints | None:
    """The joints of a usable row of the skeleton table; None where nothing says where they are."""
    if not layout.three_d:
        joints = np.asarray(row["joints"]).reshape(-1, *layout.shape)
        looked, frames = len(joints) + (row["frames_dropped"] or 0), row["file_frames"] or 0
        if frames > looked:  # joints of some frames of a video; nobody is in the last ones
            joints = np.pad(joints, ((0, looked - len(joints)), *[(0, 0)] * 3))
        tracked = np.where(joints[..., 2] > SEEN, SEEN_STATE, 0).astype(np.uint8)
        points = in_pixels(joints, *WHOLE).astype(np.float32)
        return ImageJoints(points, tracked, WHOLE, frames if frames > looked else None)
    if layout.colour_frame is None or row["colour"] is None or not len(row["colour"]):
        return None
    points = np.asarray(row["colour"]).reshape(-1, *layout.shape[:2], 2)
    tracked = np.asarray(row["tracked"]).reshape(-1, *layout.shape[:2])
    return ImageJoints(points, tracked, layout.colour_frame)


def video_size(row: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height of a sample's video, from its row in the index; None if unknown."""
    width, height = row.get("video_width"), row.get("video_height")
    return (int(width), int(height)) if width and height else None


def on_video(points: np.ndarray, size: tuple[int, int], width: int, height: int) -> np.ndarray:
    """Map points (..., 2) in pixels of an image of `size` to the pixels of a video.

    Args:
        points: the result has their precision.
        size: width and height of that image.
        width, height: size of the video in pixels.
    """
    video, image = np.array([width, height], points.dtype), np.array(size, points.dtype)
    return np.asarray(points * (video / image))
