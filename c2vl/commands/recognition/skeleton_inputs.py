"""Skeleton files of several formats as clips for an encoder: the same joints that the pipeline would make of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from c2vl.core.errors import UserError
from c2vl.datasets.pku_skeleton import NUMBERS, LongSkeleton
from c2vl.datasets.skeleton_file import SkeletonError, parse_skeleton
from c2vl.datasets.skeletons.bodies import Rules
from c2vl.datasets.skeletons.line import Actors, Solo, denoise
from c2vl.datasets.skeletons.slots import actors_of_slots
from c2vl.models.ragged import RaggedSkeletons

SUFFIXES = (".skeleton", ".txt", ".npy")
PERSONS = 2
SHAPES = "(frames, joints, 3) or (persons, frames, joints, 3)"

Part = tuple[int, int]  # first frame, and the one after the last


@dataclass(frozen=True)
class Clip:
    """One clip: `joints` (T, 2, V, 3) float32 in metres, centred, zero where a slot is empty; `persons` 1 or 2."""

    path: Path
    joints: np.ndarray
    persons: int


def find_files(paths: Iterable[Path]) -> list[Path]:
    """The files named, and in the place of a folder its skeleton files (at any depth, sorted).

    Of a folder's text files only those count whose first line holds PKU-MMD's 150 numbers.

    Raises:
        UserError: a path is not there, or a folder has no skeleton file.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [
                file
                for file in sorted(path.rglob("*"))
                if file.suffix.lower() in SUFFIXES and file.is_file()
            ]
            inside = [file for file in inside if file.suffix.lower() != ".txt" or _like_pku(file)]
            if not inside:
                raise UserError(f"{path} holds no skeleton file ({', '.join(SUFFIXES)}).")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise UserError(f"{path} is not there; name a skeleton file or a folder of them.")
    return found


def read_clip(
    path: Path,
    joints: int = 25,
    part: Part | None = None,
    rules: Rules = "ctrgcn",
    solo: Solo = "zeros",
) -> Clip:
    """Read one file.

    Args:
        path: `.skeleton` (NTU RGB+D), `.txt` (PKU-MMD: 150 numbers a line) or `.npy` of `SHAPES`, in metres.
        joints: V of the encoder.
        part: frames of the file that are the clip; None: all.
        rules: as `c2vl.datasets.skeletons.line.denoise`, for `.skeleton` files.
        solo: likewise.

    Raises:
        UserError: one sentence that names the file and what is wrong with it.
    """
    try:
        actors = _actors(path, part, rules, solo)
        if actors.joints.shape[2] != joints:
            raise SkeletonError(
                f"it has {actors.joints.shape[2]} joints, and this encoder was trained on {joints}"
            )
        RaggedSkeletons.from_clips([actors.joints])  # says whether any frame counts as valid
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
                "a part can be chosen of PKU-MMD's files and of arrays, not of a .skeleton file"
            )
        return denoise(parse_skeleton(path.read_bytes()), rules, solo)
    raise SkeletonError(
        f"a file that ends with {suffix or 'no suffix'} is not read; {', '.join(SUFFIXES)} are"
    )


def _array(path: Path) -> np.ndarray:
    """(T, 2, V, 3) float32 from an array of one of `SHAPES`."""
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
            f"it holds {len(bodies)} persons, and a clip has at most {PERSONS}; the shape is {SHAPES}"
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
