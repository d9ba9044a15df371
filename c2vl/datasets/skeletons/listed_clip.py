"""Rows of the skeleton table from files of any format."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from c2vl.core.digest import digest_of
from c2vl.core.layout import SkeletonLayout
from c2vl.datasets import raw_files as places
from c2vl.datasets.formats.fit import fitted
from c2vl.datasets.formats.read import read_recording
from c2vl.datasets.raw_files import PlaceError
from c2vl.datasets.scan import SKELETON
from c2vl.datasets.skeleton_file import SkeletonError, parse_skeleton
from c2vl.datasets.skeletons.actors import Log
from c2vl.datasets.skeletons.coordinates import SEEN, centred_on, relative_to_image
from c2vl.datasets.skeletons.denoise import denoise
from c2vl.datasets.skeletons.pose_rows import PoseRow
from c2vl.store.stage import Failure, Row

CHANGED = Failure("changed", "the skeleton file changed after the index was made; run `dvc repro`")
FRACTION = 3.0  # numbers up to it are fractions of the image, not pixels


@dataclass(frozen=True, slots=True)
class ClipFile:
    """A skeleton file, and what the index knows of it.

    Attributes:
        raw: the raw folder.
        place: of the file in it.
        content: hash of its bytes.
        size: width and height of the video, None where there is none.
    """

    raw: Path
    place: str
    content: str
    size: tuple[int, int] | None


def clip_rows(
    payloads: Sequence[tuple[ClipFile | PoseRow, SkeletonLayout]],
) -> list[Row | Failure]:
    """Return the rows of a batch. Worker processes call this."""
    return [
        source.read() if isinstance(source, PoseRow) else clip_row(source, layout)
        for source, layout in payloads
    ]


def clip_row(file: ClipFile, layout: SkeletonLayout) -> Row | Failure:
    """Return the row of one sample, or why there is none.

    3D clips are centred on the skeleton's `centre`; frames without anybody are left out. 2D clips
    are relative to the image; frames without anybody stay, because frames of the video belong to
    them, except at the end.
    """
    try:
        if file.place.lower().endswith(SKELETON):
            data = places.read(file.raw, file.place)
            return (
                CHANGED if digest_of(data) != file.content else denoise(parse_skeleton(data)).row()
            )
        recording, content = read_recording(file.raw, file.place)
        if content != file.content:
            return CHANGED
        joints = fitted(recording, layout)
        seen = int(np.nan_to_num(recording.joints).any(axis=(0, 2, 3)).sum())
        if layout.three_d:
            return space_row(joints, layout, seen)
        return image_row(joints, file.size, seen)
    except PlaceError as error:
        return Failure("unreadable", f"the skeleton file is of no use: {error}")
    except (SkeletonError, ValueError) as error:
        return Failure("unusable", str(error))
    except OSError as error:
        where = os.fspath(file.place)
        return Failure("unreadable", f"{where} cannot be read ({error.strerror or error})")


def space_row(joints: np.ndarray, layout: SkeletonLayout, seen: int) -> Row:
    """Row of a 3D clip; `joints` (F, M, V, 3) in metres, somebody in some frame.

    Raises:
        ValueError: all joints lie in one point.
    """
    there = np.asarray(joints.any(axis=(1, 2, 3)))  # (F,)
    return _row(centred_on(joints[there], layout), len(joints), seen, "")


def image_row(joints: np.ndarray, size: tuple[int, int] | None, seen: int) -> Row:
    """Row of a 2D clip.

    Args:
        joints: (F, M, V, 3): x, y in pixels of the image or as fractions of it, and the score.
        size: width and height of the image; None: not known.
        seen: persons in the file.
    """
    (width, height), note = image_size(joints, size)
    last = int(np.flatnonzero(joints.any(axis=(1, 2, 3)))[-1])
    kept = joints[: last + 1]
    relative = kept if width == 0 else relative_to_image(kept, width, height)
    return _row(relative, len(joints), seen, note)


def image_size(joints: np.ndarray, size: tuple[int, int] | None) -> tuple[tuple[int, int], str]:
    """((width, height), note) of the image that 2D joints belong to.

    `fractional` joints belong to an image of 1 x 1, or of 0 x 0 if one of them is negative: then
    they are relative to its centre already.
    """
    found = joints[joints[..., 2] > SEEN][:, :2]
    if not len(found):
        raise SkeletonError(f"no joint has a score above {SEEN}")
    if fractional(joints):
        return ((0, 0), "") if found.min() < 0 else ((1, 1), "")
    if size:
        return size, ""
    width, height = (int(side) + 1 for side in found.max(axis=0))
    return (max(width, 1), max(height, 1)), (
        "the image's size is not known: it is taken to end at the outermost joint"
    )


def fractional(joints: np.ndarray) -> bool:
    """Whether 2D joints (..., 3) are fractions of an image, because none is far from its edges."""
    found = joints[joints[..., 2] > SEEN][..., :2]
    return bool(np.abs(found).max(initial=0) <= FRACTION)


def _row(joints: np.ndarray, frames: int, seen: int, note: str) -> dict[str, Any]:
    bodies = int(joints.any(axis=(0, 2, 3)).sum())
    log = Log(seen, max(seen - bodies, 0), frames - len(joints), 0, 0, note)
    return {
        "frames": len(joints),
        "bodies": bodies,
        "joints": np.ascontiguousarray(joints, np.float32),
        "file_frames": frames,
        "colour": np.zeros(0, np.float32),
        "tracked": np.zeros(0, np.uint8),
        **asdict(log),
    }
