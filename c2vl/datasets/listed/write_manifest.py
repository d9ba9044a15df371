"""Write the manifest of a folder of class folders."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from c2vl.core.files import write_bytes
from c2vl.datasets.listed.class_folders import ClassFolders


def write_manifest(path: Path, found: ClassFolders, column: str, splits: Sequence[str]) -> None:
    """Write a CSV; columns without any value are left out."""
    rows = [
        {
            "sample": clip.name,
            "class": clip.label,
            "skeleton": clip.skeleton.rstrip("/"),
            "video": clip.video,
            "subject": clip.subject if found.subjects else "",
            column: split,
        }
        for clip, split in zip(found.clips, splits, strict=True)
    ]
    columns = [name for name in rows[0] if any(row[name] for row in rows)]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())
