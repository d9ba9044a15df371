"""The index and the files that its rows point to, whatever the data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from c2vl.core import tables
from c2vl.core.files import write_json
from c2vl.core.layout import SkeletonLayout
from c2vl.core.layout_file import NTU, shipped_layout, write_layout
from c2vl.datasets.file_facts import FileFacts

UNKNOWN = FileFacts()
MOST_TIMES = 10  # as many frames as its skeleton; NTU RGB+D's videos differ by a few frames


@dataclass(frozen=True)
class Index:
    """The table of all samples, the class names, counts for people to read, and the skeleton."""

    table: pa.Table
    classes: list[str]
    counts: dict[str, Any]
    layout: SkeletonLayout = field(default_factory=lambda: shipped_layout(NTU))

    def write(self, folder: Path) -> None:
        """Write `index.parquet`, `classes.json`, `skeleton.json` and `metrics.json`."""
        tables.write(folder / "index.parquet", self.table)
        write_json(folder / "classes.json", self.classes)
        write_layout(folder, self.layout)
        write_json(folder / "metrics.json", self.counts)


@dataclass(frozen=True)
class Chosen:
    """The file of a kind that a sample has, or why it has none (`kind` groups the reasons)."""

    file: str | None = None
    facts: FileFacts = UNKNOWN
    kind: str = ""
    reason: str = ""


def choose(paths: Sequence[str], facts: Mapping[str, FileFacts], what: str) -> Chosen:
    """Choose the file a sample uses: copies in several folders are one, different files none."""
    if not paths:
        return Chosen(kind=f"no {what} file", reason=f"there is no {what} file")
    first, *others = paths
    chosen = facts[first]
    for other in others:
        if facts[other].hash != chosen.hash:
            return Chosen(
                kind=f"different {what} files",
                reason=f"{first} and {other} differ; remove the wrong one",
            )
    return Chosen(first, chosen, f"unreadable {what}" if chosen.problem else "", chosen.problem)


def checked_length(video: Chosen, skeleton_frames: int | None) -> Chosen:
    """Set a video aside that declares many times the frames of its skeleton: its header lies."""
    frames = video.facts.frames
    if video.kind or not frames or not skeleton_frames or frames <= MOST_TIMES * skeleton_frames:
        return video
    problem = (
        f"the video declares {frames:,} frames, its skeleton {skeleton_frames:,}; its header is "
        "damaged, or it is another clip's"
    )
    facts = replace(video.facts, frames=None, problem=problem)
    return Chosen(video.file, facts, "unreadable video", problem)
