"""Find the raw files of a data set in a folder, nested or flat, or in zip archives that lie there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from c2vl.datasets.names import SampleName, parse_name
from c2vl.datasets.places import MARK, ZIP, PlaceError, members
from c2vl.errors import UserError

SKELETON, VIDEO = ".skeleton", "_rgb.avi"


@dataclass
class RawFiles:
    """Places (see `c2vl.datasets.places`); more than one where a sample is in several folders, those outside archives first."""

    skeletons: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)


def scan(raw: Path) -> tuple[dict[SampleName, RawFiles], list[str]]:
    """Return the raw files of every sample, sorted by name, and the files that look like raw files but bear no sample's name.

    Links to folders are followed, each folder once.

    Raises:
        UserError: `raw` is no folder, cannot be read, holds a damaged archive, or no raw file of any sample.
    """
    samples: dict[SampleName, RawFiles] = {}
    strangers: list[str] = []
    for path in sorted(all_places(raw), key=lambda place: MARK in place):
        suffix = next((suffix for suffix in (SKELETON, VIDEO) if path.endswith(suffix)), None)
        if suffix is None:
            continue
        try:
            name = parse_name(base_name(path).removesuffix(suffix))
            path.encode()  # a folder's name that is not UTF-8 cannot stand in a table
        except ValueError:
            strangers.append(path.encode(errors="backslashreplace").decode())
            continue
        files = samples.setdefault(name, RawFiles())
        (files.skeletons if suffix == SKELETON else files.videos).append(path)
    if not samples:
        raise UserError(
            f"{raw} (`data.raw`) holds no file such as S001C001P001R001A001{SKELETON} or …{VIDEO}, nor do the folders in it; "
            "put the data set there, unpacked or as zip archives."
        )
    return dict(sorted(samples.items())), strangers


def base_name(place: str) -> str:
    """The last part of a place's name."""
    return place.replace(MARK, "/").replace("\\", "/").rsplit("/", 1)[-1]


def all_places(raw: Path) -> Iterator[str]:
    """Every file in `raw` and the folders in it, and every member of the zip archives among them, in the order of names.

    Raises:
        UserError: `raw` is no folder, a folder cannot be read, or an archive is damaged: it may hold thousands of
            samples, which must not be missing in silence.
    """
    if not raw.is_dir():
        raise UserError(
            f"the raw folder {raw} (`data.raw`) is missing; put the data set there, or make the demo's with `dvc repro`."
        )
    for path in _files(raw):
        if not path.lower().endswith(ZIP):
            yield path
            continue
        try:
            yield from (f"{path}{MARK}{member}" for member in members(raw / path))
        except PlaceError as error:
            raise UserError(f"{raw / path}: {error}; download it again or move it elsewhere.") from None
        except OSError as error:
            raise UserError(f"{raw / path} cannot be read ({error.strerror or error}); mend it or move it elsewhere.") from None


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
