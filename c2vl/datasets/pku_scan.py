"""Find PKU-MMD's raw files. Skeletons and labels share their names; the first line decides."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from c2vl.core.errors import UserError
from c2vl.core.unicode_text import printable
from c2vl.datasets import raw_files as places
from c2vl.datasets.pku import VideoName, parse_video
from c2vl.datasets.raw_files import MARK, PlaceError
from c2vl.datasets.scan import (
    CONTAINERS,
    OTHER_CONTAINERS,
    all_places,
    base_name,
    is_packed,
    is_video,
)

HEAD = 4096  # bytes; more than a frame's line
_SPLIT = re.compile(r"cross[ _-]?(subject|view)\w*\.txt", re.ASCII | re.IGNORECASE)
_BENCHMARK = {"subject": "xsub", "view": "xview"}


@dataclass
class VideoFiles:
    """Places of one long video's files, outside archives first; `unknown` are of neither kind."""

    skeletons: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Found:
    """What a raw folder holds.

    Attributes:
        videos: files by video, sorted by name.
        splits: places of the split files by benchmark.
        strangers: files that look like raw files but bear no video's name.
        packed: archives that are not looked into.
    """

    videos: dict[VideoName, VideoFiles]
    splits: dict[str, list[str]]
    strangers: list[str]
    packed: list[str]


def scan(dataset: str, raw: Path) -> Found:
    """List the raw files of `dataset` (pku1 or pku2).

    Raises:
        UserError: `raw` cannot be read, or holds no file of any video.
    """
    videos: dict[VideoName, VideoFiles] = {}
    splits: dict[str, list[str]] = {}
    strangers, packed = list[str](), list[str]()
    for place in sorted(all_places(raw), key=lambda place: MARK in place):
        if is_packed(place):
            packed.append(printable(place))
        stem, dot, suffix = base_name(place).rpartition(".")
        if is_video(place, OTHER_CONTAINERS):
            strangers.append(printable(place))
        filmed = is_video(place)
        if not filmed and (not dot or suffix.lower() not in ("txt", "skeleton", "label")):
            continue
        benchmark = _SPLIT.fullmatch(f"{stem}.{suffix}")
        if benchmark:
            splits.setdefault(_BENCHMARK[benchmark[1].lower()], []).append(place)
            continue
        try:
            name = parse_video(dataset, stem)
            place.encode()
        except ValueError:
            if place != "classes.txt":
                strangers.append(printable(place))
            continue
        files = videos.setdefault(name, VideoFiles())
        kinds = {"label": files.labels, "skeleton": files.skeletons}
        if filmed:
            files.videos.append(place)
        elif suffix.lower() == "txt":
            _kind(raw, place, files).append(place)
        else:
            kinds[suffix.lower()].append(place)
    if not videos:
        example = "0002-L" if dataset == "pku1" else "A01N01-L"
        raise UserError(
            f"{raw} (`data.raw`) holds no file such as {example}.txt (skeleton or labels) or "
            f"{example}.avi (also {', '.join(CONTAINERS[1:])}), nor do the folders "
            f"in it; unpack {'part I' if dataset == 'pku1' else 'part II'} of PKU-MMD there."
        )
    return Found(dict(sorted(videos.items())), splits, strangers, packed)


def _kind(raw: Path, place: str, files: VideoFiles) -> list[str]:
    """The list that a `.txt` belongs to, by its first line, else by its folder's name."""
    try:
        first = places.head(raw, place, HEAD).lstrip().split(b"\n", 1)[0]
    except PlaceError:
        first = b""
    if len(first.split()) > 4:
        return files.skeletons
    if first.count(b",") in (2, 3, 4):
        return files.labels
    folder = place.lower().rpartition("/")[0]
    return (
        files.labels
        if "label" in folder
        else files.skeletons
        if "skelet" in folder
        else files.unknown
    )
