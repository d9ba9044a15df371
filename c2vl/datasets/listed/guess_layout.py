"""Guess the shipped skeleton of files, from their joints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from c2vl.datasets.formats.read import read_recording
from c2vl.datasets.raw_files import PlaceError
from c2vl.datasets.scan import SKELETON
from c2vl.datasets.skeleton_file import SkeletonError

LOOKS = 12  # files
FLAT = {17: "coco17", 18: "openpose18", 25: "openpose25"}
SPACE = {
    17: "h36m17",
    20: "kinect20",
    22: "smpl22",
    24: "smpl24",
    25: "ntu25",
    32: "azure32",
    33: "mediapipe33",
}


def guess_layout(raw: Path, places: Sequence[str]) -> tuple[str | None, list[str]]:
    """(name of a shipped skeleton or None, what the files hold) of skeleton files.

    `LOOKS` of the files are read, evenly spread; the skeleton is that of most of them.
    """
    spread = dict.fromkeys(places[at * len(places) // LOOKS] for at in range(LOOKS))
    seen = [_guess(raw, place) for place in spread]
    votes = Counter(name for name, _ in seen if name)
    most = votes.most_common(1)[0][0] if votes else None
    told = [next(told for name, told in seen if name == most)]
    others = [said for name, said in seen if name != most]
    if others:
        told.append(f"{len(others)} of {len(seen)} files looked at are not like it: {others[0]}")
    return most, told


def _guess(raw: Path, place: str) -> tuple[str | None, str]:
    """The skeleton of a file, and what it holds or why it cannot be read.

    Three numbers a joint are x, y and a score where the third is from 0 to 1 and the others go
    beyond; else a place in space.
    """
    if place.lower().endswith(SKELETON):
        return "ntu25", f"{place} is a .skeleton file of NTU RGB+D's"
    try:
        recording = read_recording(raw, place)[0]
    except (SkeletonError, PlaceError, OSError) as error:
        return None, f"{place} cannot be read: {error}"
    frames, persons, count, numbers = recording.joints.shape
    flat = recording.scored or numbers == 2 or (numbers == 3 and _scored(recording.joints))
    told = (
        f"{place} holds {frames} frames, {persons} {'person' if persons == 1 else 'persons'}, "
        f"{count} joints of {numbers} numbers"
    )
    return (FLAT if flat else SPACE).get(count), told


def _scored(joints: np.ndarray) -> bool:
    known = joints[~np.isnan(joints).any(axis=-1)]
    third, others = known[:, 2], np.abs(known[:, :2])
    return bool(len(known) and third.min() >= 0 and third.max() <= 1 and others.max() > 2)
