"""The facts about a sample that its page lists."""

from __future__ import annotations

from c2vl.commands.sample_view.sample import Sample
from c2vl.core.tables.schemas import INDEX

COUNTS = (
    "frames",
    "bodies",
    "file_frames",
    "bodies_seen",
    "bodies_dropped",
    "frames_dropped",
    "merged",
    "rules_differ",
)
FILES = ("skeleton_file", "video_file", "skeleton_hash", "video_hash", "video_reason")


def facts_of(sample: Sample) -> list[list[tuple[str, str]]]:
    """Return three columns of (name, value).

    They hold the row of the index, the counts of the skeleton stage, and the files.
    """
    row = sample.row
    elsewhere = (*FILES, "reason", "sample", "dataset", "status")
    small = [(name, row[name]) for name in INDEX.names if name in row and name not in elsewhere]
    first = [(name, str(value)) for name, value in small if value is not None]
    skeleton = sample.skeleton or {}
    second = [(name, str(skeleton[name])) for name in COUNTS if skeleton.get(name) is not None]
    third = [(name, str(row[name])) for name in FILES if row.get(name)]
    third += [(name, str(skeleton[name])) for name in ("note",) if skeleton.get(name)]
    return [first, second, [(name, _short(value)) for name, value in third]]


def _short(value: str, most: int = 66) -> str:
    return value if len(value) <= most else "…" + value[1 - most :]
