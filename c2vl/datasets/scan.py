"""Find the raw files of a data set in a folder, nested or flat."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from c2vl.datasets.names import SampleName, parse_name
from c2vl.errors import UserError

SKELETON, VIDEO = ".skeleton", "_rgb.avi"


@dataclass
class RawFiles:
    """Paths relative to the raw folder, `/` between parts; more than one where a sample is in several folders."""

    skeletons: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)


def scan(raw: Path) -> tuple[dict[SampleName, RawFiles], list[str]]:
    """Return the raw files of every sample, sorted by name, and the files that look like raw files but bear no sample's name.

    Links to folders are followed, each folder once.

    Raises:
        UserError: `raw` is no folder, cannot be read, or holds no raw file of any sample.
    """
    if not raw.is_dir():
        raise UserError(
            f"the raw folder {raw} (`data.raw`) is missing; put the data set there, or make the demo's with `dvc repro`."
        )
    samples: dict[SampleName, RawFiles] = {}
    strangers: list[str] = []
    for path in _files(raw):
        suffix = next((suffix for suffix in (SKELETON, VIDEO) if path.endswith(suffix)), None)
        if suffix is None:
            continue
        try:
            name = parse_name(path.rsplit("/", 1)[-1].removesuffix(suffix))
            path.encode()  # a folder's name that is not UTF-8 cannot stand in a table
        except ValueError:
            strangers.append(path.encode(errors="backslashreplace").decode())
            continue
        files = samples.setdefault(name, RawFiles())
        (files.skeletons if suffix == SKELETON else files.videos).append(path)
    if not samples:
        raise UserError(
            f"{raw} (`data.raw`) holds no file such as S001C001P001R001A001{SKELETON} or …{VIDEO}, nor do the folders in it; "
            "unpack the data set there."
        )
    return dict(sorted(samples.items())), strangers


def _files(raw: Path) -> Iterator[str]:
    seen: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename} cannot be read ({error.strerror}); mend its permissions.")

    for folder, inner, files in os.walk(raw, followlinks=True, onerror=refuse):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:  # a link back to a folder already walked
            inner.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        inner.sort()
        relative = Path(folder).relative_to(raw)
        yield from ((relative / file).as_posix() for file in sorted(files))
