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
            "skeleton": _kept(clip.skeleton),
            "video": _kept(clip.video),
            "subject": clip.subject if found.subjects else "",
            column: split,
        }
        for clip, split in zip(found.clips, splits, strict=True)
    ]
    columns = [name for name in rows[0] if any(row[name] for row in rows)]
    text = io.StringIO(newline="")
    # A lone carriage return ends a line for a reader, but the writer alone would not quote it.
    returns = any("\r" in value for row in rows for value in row.values())
    writer = csv.DictWriter(
        text,
        columns,
        extrasaction="ignore",
        lineterminator="\n",
        quoting=csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL,
    )
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def _kept(place: str) -> str:
    """A place whose blanks at both ends survive a reader that strips values."""
    bare = place.rstrip("/")
    begin = "./" if bare != bare.lstrip() else ""
    return f"{begin}{bare}{'/' if bare != bare.rstrip() else ''}"
