"""Read one long video of PKU-MMD for the index: its clips, and the digest of each clip's lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from c2vl.datasets import raw_files as places
from c2vl.datasets.pku import PkuError
from c2vl.datasets.pku_labels import Clip, ClipBounds, Label, cut, parse_labels
from c2vl.datasets.pku_scan import VideoFiles
from c2vl.datasets.pku_skeleton import LongSkeleton
from c2vl.datasets.raw_files import PlaceError
from c2vl.datasets.skeleton_file import SkeletonError


@dataclass(frozen=True)
class Reading:
    """A long video.

    Attributes:
        skeleton: place of its skeleton file, where that can be used.
        frames: of it.
        clips: with the digest of the skeleton's lines, where usable.
        kind, reason: why there are no clips at all; empty where there are.
    """

    skeleton: str | None = None
    frames: int | None = None
    clips: tuple[tuple[Clip, str | None], ...] = ()
    kind: str = ""
    reason: str = ""


def read_video(raw: Path, bounds: ClipBounds, files: VideoFiles) -> Reading:
    """Cut the video of `files` by its labels; whatever is wrong is in the result."""
    if not files.labels:
        return Reading(kind="no label file", reason="there is no label file" + _unknown(files))
    try:
        labels = parse_labels(_agreed(raw, files.labels))
    except (PkuError, PlaceError) as error:
        return Reading(kind="unreadable label file", reason=str(error))
    if not files.skeletons:
        return _unusable(labels, "no skeleton file", "there is no skeleton file" + _unknown(files))
    try:
        skeleton = LongSkeleton(_agreed(raw, files.skeletons))
    except (PkuError, PlaceError, SkeletonError) as error:
        return _unusable(labels, "unreadable skeleton", str(error))
    clips = cut(labels, skeleton.frames, bounds)
    return Reading(
        files.skeletons[0],
        skeleton.frames,
        tuple(
            (
                clip,
                None
                if clip.begin is None or clip.stop is None
                else skeleton.digest(clip.begin, clip.stop),
            )
            for clip in clips
        ),
    )


def _agreed(raw: Path, candidates: Sequence[str]) -> bytes:
    """The bytes of the first candidate; the others must be copies of it."""
    first, *others = candidates
    try:
        data = places.read(raw, first)
    except PlaceError as error:
        raise PlaceError(f"{first} is of no use: {error}") from None
    for other in others:
        if places.read(raw, other) != data:
            raise PkuError(f"{first} and {other} differ; remove the wrong one")
    return data


def _unusable(labels: Sequence[Label], kind: str, reason: str) -> Reading:
    """One clip a label, none of use."""
    clips = cut(labels, 10**9, "start:end")  # for their names
    return Reading(
        clips=tuple(
            (replace(clip, begin=None, stop=None, kind=kind, reason=reason), None) for clip in clips
        )
    )


def _unknown(files: VideoFiles) -> str:
    return f"; {files.unknown[0]} is neither that nor the other kind" if files.unknown else ""
