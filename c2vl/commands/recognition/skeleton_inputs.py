"""Read skeleton files of several formats as clips, with the joints that the pipeline would make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from c2vl.core.errors import UserError
from c2vl.core.layout import SkeletonLayout
from c2vl.core.layout_file import NTU, shipped_layout
from c2vl.datasets.formats.fit import fitted
from c2vl.datasets.formats.read import PARSERS, joined, read_recording
from c2vl.datasets.formats.recording import Recording
from c2vl.datasets.hidden_files import is_hidden
from c2vl.datasets.pku_skeleton import NUMBERS, LongSkeleton
from c2vl.datasets.raw_files import PlaceError
from c2vl.datasets.scan import CONTAINERS, OTHER_CONTAINERS, is_video
from c2vl.datasets.skeleton_file import SkeletonError, parse_skeleton
from c2vl.datasets.skeleton_params import Rules, Solo
from c2vl.datasets.skeletons.actors import actors_of_slots
from c2vl.datasets.skeletons.denoise import denoise
from c2vl.datasets.skeletons.listed_clip import fractional, image_row, space_row
from c2vl.models.ragged import RaggedSkeletons

SUFFIXES = (".skeleton", ".txt", *PARSERS)

Part = tuple[int, int]  # first frame, and the one after the last


@dataclass(frozen=True)
class Clip:
    """One clip.

    Attributes:
        path: of its file.
        joints: (T, M, V, 3) float32, as the skeleton table has them; zero where a person is absent.
        persons: how many there are.
    """

    path: Path
    joints: np.ndarray
    persons: int


def find_files(paths: Iterable[Path]) -> list[Path]:
    """List the files of `paths`; a folder stands for its skeleton files, then its videos.

    They may lie at any depth, and come sorted. A folder's text file counts only if its first line
    holds PKU-MMD's 150 numbers. A folder of OpenPose's files, one a frame, is one skeleton.

    Raises:
        UserError: a path does not exist, or a folder has neither.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            shown = [
                file
                for file in sorted(path.rglob("*"))
                if file.is_file() and not is_hidden(file.relative_to(path).as_posix())
            ]
            inside = [file for file in shown if file.suffix.lower() in SUFFIXES]
            inside = [file for file in inside if file.suffix.lower() != ".txt" or _like_pku(file)]
            videos = [file for file in shown if is_video_file(file)]
            if not inside and not videos:
                raise UserError(
                    f"{path} holds no skeleton file and no video; these are read: "
                    f"{', '.join((*SUFFIXES, *CONTAINERS))}."
                )
            found += sorted(map(Path, joined(str(file) for file in inside)))
            found += videos
        elif path.exists():
            found.append(path)
        else:
            raise UserError(
                f"{path} does not exist; name a video, a skeleton file, or a folder of them."
            )
    return found


def is_video_file(path: Path) -> bool:
    """Whether a file's name says that it is a video."""
    return is_video(path.name, (*CONTAINERS, *OTHER_CONTAINERS)) and not path.is_dir()


def read_clip(
    path: Path,
    layout: SkeletonLayout | None = None,
    part: Part | None = None,
    rules: Rules = "ctrgcn",
    solo: Solo = "zeros",
    size: tuple[int, int] | None = None,
) -> Clip:
    """Read one file as a clip.

    Args:
        path: `.skeleton` (NTU RGB+D), `.txt` (PKU-MMD: 150 numbers a line), a file that
            `c2vl.datasets.formats` reads, or a folder with one JSON file a frame.
        layout: the skeleton of the encoder; None: ntu25.
        part: frames of the file that the clip has; None: all.
        rules: as in `denoise`, for `.skeleton` files.
        solo: as in `denoise`, for `.skeleton` files.
        size: width and height of the image that 2D joints are pixels of; None: they are fractions
            of it.

    Raises:
        UserError: the file cannot be used; the message says why.
    """
    try:
        joints, persons = _joints(path, layout or shipped_layout(NTU), part, rules, solo, size)
        RaggedSkeletons.from_clips([joints])  # raises if no frame is valid
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except (SkeletonError, PlaceError, ValueError) as error:
        raise UserError(f"{path}: {error}.") from None
    return Clip(path, joints, persons)


def _joints(
    path: Path,
    layout: SkeletonLayout,
    part: Part | None,
    rules: Rules,
    solo: Solo,
    size: tuple[int, int] | None,
) -> tuple[np.ndarray, int]:
    suffix = path.suffix.lower()
    if suffix in PARSERS or path.is_dir():
        whole = read_recording(path.parent, path.name)[0].joints
        return _of_persons(Recording(whole[slice(*_within(part, len(whole)))]), layout, size)
    if suffix not in SUFFIXES:
        raise SkeletonError(
            f"files that end with {suffix or 'no suffix'} are not read; "
            f"use one of {', '.join((*SUFFIXES, *CONTAINERS))}"
        )
    if suffix == ".txt":
        long = LongSkeleton(path.read_bytes())
        actors = actors_of_slots(long.joints(*_within(part, long.frames)))
    elif part is not None:
        raise SkeletonError("`--part` works with PKU-MMD's files and arrays, not with .skeleton")
    else:
        actors = denoise(parse_skeleton(path.read_bytes()), rules, solo)
    kinect = shipped_layout(NTU)
    if (layout.shape, layout.coordinates) != (kinect.shape, kinect.coordinates):
        raise _other_joints(kinect.count, layout)
    return actors.joints, actors.bodies


def _other_joints(count: int, layout: SkeletonLayout) -> SkeletonError:
    return SkeletonError(
        f"it has {count} joints, but this encoder was trained on {layout.count} ({layout.name})"
    )


def _of_persons(
    recording: Recording, layout: SkeletonLayout, size: tuple[int, int] | None
) -> tuple[np.ndarray, int]:
    """(joints, persons) of the people of a file."""
    if recording.joints.shape[2] != layout.count:
        raise _other_joints(recording.joints.shape[2], layout)
    joints = fitted(recording, layout)
    if layout.three_d:
        row = space_row(joints, layout, 0)
    elif size is None and not fractional(joints):
        raise SkeletonError("its joints are pixels; say of which image with `--size WIDTHxHEIGHT`")
    else:
        row = image_row(joints, size, 0)
    return row["joints"], row["bodies"]


def _within(part: Part | None, frames: int) -> Part:
    begin, stop = part or (0, frames)
    if not 0 <= begin < stop <= frames:
        raise SkeletonError(f"it has {frames} frames, so there is no part {begin}:{stop}")
    return begin, stop


def _like_pku(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return len(file.readline(64 * NUMBERS).split()) == NUMBERS
    except OSError:  # whoever reads the file says why
        return True
