"""Read skeleton files of several formats as clips, with the joints that the pipeline would make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from c2vl.core.errors import UserError
from c2vl.datasets.hidden_files import is_hidden
from c2vl.datasets.pku_skeleton import NUMBERS, LongSkeleton
from c2vl.datasets.skeleton_file import SkeletonError, parse_skeleton
from c2vl.datasets.skeleton_params import Rules, Solo
from c2vl.datasets.skeletons.actors import Actors, actors_of_slots
from c2vl.datasets.skeletons.denoise import denoise
from c2vl.models.ragged import RaggedSkeletons

SUFFIXES = (".skeleton", ".txt", ".npy")
PERSONS = 2
SHAPES = "(frames, joints, 3) or (persons, frames, joints, 3)"

Part = tuple[int, int]  # first frame, and the one after the last


@dataclass(frozen=True)
class Clip:
    """One clip.

    Attributes:
        path: of its file.
        joints: (T, 2, V, 3) float32 in metres, centred; zero where a person is absent.
        persons: 1 or 2.
    """

    path: Path
    joints: np.ndarray
    persons: int


def find_files(paths: Iterable[Path]) -> list[Path]:
    """List the files of `paths`; a folder stands for its skeleton files (at any depth, sorted).

    A folder's text file counts only if its first line holds PKU-MMD's 150 numbers.

    Raises:
        UserError: a path does not exist, or a folder has no skeleton file.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [
                file
                for file in sorted(path.rglob("*"))
                if file.suffix.lower() in SUFFIXES
                and file.is_file()
                and not is_hidden(file.relative_to(path).as_posix())
            ]
            inside = [file for file in inside if file.suffix.lower() != ".txt" or _like_pku(file)]
            if not inside:
                raise UserError(
                    f"{path} holds no skeleton file; these are read: {', '.join(SUFFIXES)}."
                )
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise UserError(f"{path} does not exist; name a skeleton file or a folder of them.")
    return found


def read_clip(
    path: Path,
    joints: int = 25,
    part: Part | None = None,
    rules: Rules = "ctrgcn",
    solo: Solo = "zeros",
) -> Clip:
    """Read one file as a clip.

    Args:
        path: `.skeleton` (NTU RGB+D), `.txt` (PKU-MMD: 150 numbers a line) or `.npy` of `SHAPES`;
            in metres.
        joints: V of the encoder.
        part: frames of the file that the clip has; None: all.
        rules: as in `denoise`, for `.skeleton` files.
        solo: as in `denoise`, for `.skeleton` files.

    Raises:
        UserError: the file cannot be used; the message says why.
    """
    try:
        actors = _actors(path, part, rules, solo)
        if actors.joints.shape[2] != joints:
            raise SkeletonError(
                f"it has {actors.joints.shape[2]} joints, but this encoder was trained on {joints}"
            )
        RaggedSkeletons.from_clips([actors.joints])  # raises if no frame is valid
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except (SkeletonError, ValueError) as error:
        raise UserError(f"{path}: {error}.") from None
    return Clip(path, actors.joints, actors.bodies)


def _actors(path: Path, part: Part | None, rules: Rules, solo: Solo) -> Actors:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        values = _array(path)
        return actors_of_slots(values[slice(*_within(part, len(values)))])
    if suffix == ".txt":
        long = LongSkeleton(path.read_bytes())
        return actors_of_slots(long.joints(*_within(part, long.frames)))
    if suffix == ".skeleton":
        if part is not None:
            raise SkeletonError(
                "`--part` works with PKU-MMD's files and arrays, not with .skeleton"
            )
        return denoise(parse_skeleton(path.read_bytes()), rules, solo)
    raise SkeletonError(
        f"files that end with {suffix or 'no suffix'} are not read; "
        f"use one of {', '.join(SUFFIXES)}"
    )


def _array(path: Path) -> np.ndarray:
    """Read an array of one of `SHAPES` as joints (T, 2, V, 3) float32."""
    try:
        values = np.load(path, allow_pickle=False, mmap_mode="r")
    except (ValueError, EOFError):
        raise SkeletonError("it does not hold an array of numbers in NumPy's format") from None
    if (
        not isinstance(values, np.ndarray)
        or values.ndim not in (3, 4)
        or values.shape[-1] != 3
        or 0 in values.shape
    ):
        shape = getattr(values, "shape", "an archive")
        raise SkeletonError(f"an array of shape {SHAPES} is needed, not {shape}")
    if values.dtype.kind not in "fiu":
        raise SkeletonError(f"an array of numbers is needed, not of {values.dtype}")
    bodies = values[None] if values.ndim == 3 else values  # (M, T, V, C)
    if len(bodies) > PERSONS:
        raise SkeletonError(
            f"it holds {len(bodies)} persons, but a clip has at most {PERSONS}; "
            f"the shape is {SHAPES}"
        )
    joints = np.zeros((bodies.shape[1], PERSONS, *bodies.shape[2:]), np.float32)
    with np.errstate(over="ignore"):
        joints[:, : len(bodies)] = np.moveaxis(bodies, 0, 1)
    if not np.isfinite(joints).all():
        raise SkeletonError("joint coordinates are NaN or infinite")
    return joints


def _within(part: Part | None, frames: int) -> Part:
    begin, stop = part or (0, frames)
    if not 0 <= begin < stop <= frames:
        raise SkeletonError(f"it has {frames} frames, so there is no part {begin}:{stop}")
    return begin, stop


def _like_pku(path: Path) -> bool:
    with path.open("rb") as file:
        return len(file.readline(64 * NUMBERS).split()) == NUMBERS
