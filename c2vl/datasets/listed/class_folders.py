"""Understand a folder of class folders: clips, classes, splits; what `c2vl init` writes down."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from c2vl.core.errors import UserError
from c2vl.core.unicode_text import printable
from c2vl.datasets.formats.read import is_skeleton_file, joined
from c2vl.datasets.listed.manifest import FILES, SPLITS
from c2vl.datasets.sample_ids import sample_id
from c2vl.datasets.scan import OTHER_CONTAINERS, SKELETON, all_places, is_packed, is_video

KINDS = frozenset(
    ["video", "videos", "rgb", "clips", "skeleton", "skeletons", "pose", "poses", "keypoints"]
)
ENDINGS = re.compile(r"[_-](rgb|color|colour|video|skeleton|pose|keypoints)$", re.IGNORECASE)
SUBJECT = re.compile(
    r"(?:^|[_-])(?:subject|person|subj|sub|p|s)[_-]?(\d{1,4})(?=[_-]|$)|S\d{3}C\d{3}P(\d{3})",
    re.IGNORECASE,
)
FEWEST_SUBJECTS = 3  # for a split by subject


@dataclass
class FoundClip:
    """One clip: its class, files relative to the folder, split by its folder, and subject."""

    name: str
    label: str
    skeleton: str = ""
    video: str = ""
    split: str = ""
    subject: str = ""


@dataclass
class ClassFolders:
    """What a folder holds.

    Attributes:
        clips: sorted by class and name.
        skipped: reason -> files that belong to no clip.
        split_by_folder: whether train, val or test folders say the splits.
    """

    clips: list[FoundClip]
    skipped: dict[str, list[str]] = field(default_factory=dict)
    split_by_folder: bool = False

    @property
    def classes(self) -> Counter[str]:
        """Clips of each class."""
        return Counter(clip.label for clip in self.clips)

    @property
    def subjects(self) -> set[str]:
        """Subjects that the names show; empty unless every name shows one."""
        found = {clip.subject for clip in self.clips}
        return set() if "" in found or len(found) < FEWEST_SUBJECTS else found


def read_class_folders(folder: Path) -> ClassFolders:
    """Read the names in a folder; no file is opened.

    A clip lies in the folder of its class, at any depth. Above it may be folders `train`, `val`
    and `test`, or `videos` and `skeletons`. A video and a skeleton of the same class and name are
    one clip. A folder of OpenPose's files, one a frame, is one skeleton.

    Raises:
        UserError: there is no such folder, or no clip in it.
    """
    clips: dict[tuple[str, str, str], FoundClip] = {}
    found = ClassFolders([])
    for place in joined(all_places(folder)):
        reason = _not_a_clip(place)
        *folders, base = place.rstrip("/").split("/")
        split, label, inner = _levels(folders)
        if not reason and not label.strip():
            reason = "not in the folder of a class"
        if reason:
            if place not in FILES:
                found.skipped.setdefault(reason, []).append(printable(place))
            continue
        stem = ENDINGS.sub("", base if place.endswith("/") else base.rpartition(".")[0])
        name = "/".join([*inner, stem])
        clip = clips.setdefault((split, label, name), FoundClip(name, label, split=split))
        what = "video" if is_video(base) else "skeleton"
        if getattr(clip, what):
            found.skipped.setdefault(f"a second {what} of the same clip", []).append(
                printable(place)
            )
            continue
        setattr(clip, what, place)
        match = SUBJECT.search(stem) or next(filter(None, map(SUBJECT.search, inner)), None)
        clip.subject = clip.subject or (str(int(match[1] or match[2])) if match else "")
    if not clips:
        raise UserError(
            f"{folder} has no clips in folders of classes, such as jump/clip1.mp4 or "
            f"jump/clip1.npy; {_why(found.skipped)}."
        )
    found.clips = [clip for _, clip in sorted(clips.items())]
    found.split_by_folder = any(clip.split for clip in found.clips)
    _name(found.clips)
    for one in found.clips:  # a manifest's values have no blanks about them
        one.label = one.label.strip()
    return found


def _not_a_clip(place: str) -> str:
    """Why a file is no clip; empty if it may be one."""
    try:
        place.encode()
    except UnicodeEncodeError:
        return "a name that is not UTF-8"
    if place.endswith("/") or is_video(place) or is_skeleton_file(place):
        return ""
    if place.lower().endswith(SKELETON):
        return ""
    if is_video(place, OTHER_CONTAINERS):
        return "a video in a container that is not read; convert it to .mp4"
    if is_packed(place):
        return "an archive; unpack it"
    return "neither a video nor a skeleton"


def _levels(folders: list[str]) -> tuple[str, str, list[str]]:
    """(split, class, folders inside the class) of a file's folders."""
    split, rest = "", list(folders)
    while rest and ((word := rest[0].lower()) in KINDS or (not split and SPLITS.get(word))):
        if word not in KINDS:
            split = SPLITS[word]
        rest.pop(0)
    return (split, rest[0], rest[1:]) if rest else (split, "", [])


def _name(clips: list[FoundClip]) -> None:
    """Give each clip an id: class and name, with the split where that is not enough."""
    plain = [f"{clip.label}_{clip.name.replace('/', '_')}" for clip in clips]
    times = Counter(map(sample_id, plain))
    for clip, name in zip(clips, plain, strict=True):
        again = times[sample_id(name)] > 1
        clip.name = sample_id(f"{clip.split}/{clip.label}/{clip.name}" if again else name)


def _why(skipped: dict[str, list[str]]) -> str:
    if not skipped:
        return "it holds no files"
    reason, places = max(skipped.items(), key=lambda pair: len(pair[1]))
    return f"{len(places):,} files are {reason}, such as {places[0]}"
