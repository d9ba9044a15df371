"""Find the raw files of a data set in a folder, nested or flat, or in its zip archives."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from c2vl.core.errors import UserError
from c2vl.core.unicode_text import printable
from c2vl.datasets.hidden_files import is_hidden
from c2vl.datasets.names import SampleName, parse_name
from c2vl.datasets.raw_files import MARK, ZIP, PlaceError, members

SKELETON, VIDEO = ".skeleton", "_rgb.avi"
CONTAINERS = (".avi", ".mp4", ".mkv", ".webm")  # of videos, in any case; tests decode each
OTHER_CONTAINERS = (".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".3gp", ".ogv")
_LIKE_A_SAMPLE = re.compile(r"S\d{3}C\d{3}P\d{3}R\d{3}A\d{3}", re.ASCII | re.IGNORECASE)
PACKED = (
    ".7z",
    ".rar",
    ".tar",
    ".tgz",
    ".gz",
    ".bz2",
    ".xz",
    ZIP,
)  # not looked into; a zip only where it lies in another


@dataclass
class RawFiles:
    """Places (see `c2vl.datasets.raw_files`), those outside archives first.

    There is more than one where a sample is in several folders.
    """

    skeletons: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Found:
    """What a raw folder holds.

    Attributes:
        samples: files by sample, sorted by name.
        strangers: files that look like raw files but bear no sample's name.
        packed: archives that are not looked into.
    """

    samples: dict[SampleName, RawFiles]
    strangers: list[str]
    packed: list[str]


def scan(raw: Path) -> Found:
    """List the raw files of NTU RGB+D or the studio.

    Links to folders are followed, each folder once.

    Raises:
        UserError: `raw` is no folder, cannot be read, holds a damaged archive, or no raw file of
            any sample.
    """
    samples: dict[SampleName, RawFiles] = {}
    strangers: list[str] = []
    packed: list[str] = []
    for path in sorted(all_places(raw), key=lambda place: MARK in place):
        if is_packed(path):
            packed.append(printable(path))
            continue
        base = base_name(path)
        is_skeleton = base.lower().endswith(SKELETON)
        if not is_skeleton and not is_video(base):
            if _LIKE_A_SAMPLE.match(base) or is_video(base, OTHER_CONTAINERS):
                strangers.append(printable(path))
            continue
        try:
            name = parse_name(base.removesuffix(SKELETON) if is_skeleton else _video_name(base))
            path.encode()  # a folder's name that is not UTF-8 cannot stand in a table
        except ValueError:
            strangers.append(printable(path))
            continue
        files = samples.setdefault(name, RawFiles())
        (files.skeletons if is_skeleton else files.videos).append(path)
    if not samples:
        raise UserError(
            f"{raw} (`data.raw`) holds no file such as S001C001P001R001A001{SKELETON} or …{VIDEO} "
            f"(also {', '.join(CONTAINERS[1:])}), nor do the folders in it; "
            "put the data set there, unpacked or as zip archives."
        )
    return Found(dict(sorted(samples.items())), strangers, packed)


def is_video(name: str, containers: tuple[str, ...] = CONTAINERS) -> bool:
    """Whether a file's name says that it is a video in one of `containers`."""
    return name.lower().endswith(containers)


def _video_name(base: str) -> str:
    """The sample's name in a video's: `S…_rgb.avi`, `S….mp4`, in any case."""
    return base.rpartition(".")[0].upper().removesuffix("_RGB")


def is_packed(place: str) -> bool:
    """Whether a place that `all_places` gave is an archive, which may hold unseen samples."""
    return place.lower().endswith(PACKED)


def base_name(place: str) -> str:
    """The last part of a place's name."""
    return place.replace(MARK, "/").replace("\\", "/").rsplit("/", 1)[-1]


def all_places(raw: Path) -> Iterator[str]:
    """Every file in `raw` and its folders, and every member of their zip archives, by name.

    Hidden files and folders are left out (`is_hidden`).

    Raises:
        UserError: `raw` is no folder, a folder cannot be read, or an archive is damaged: it may
            hold thousands of samples, which must not be missing in silence.
    """
    if raw.exists() and not raw.is_dir():
        raise UserError(
            f"{raw} (`data.raw`) is neither a folder nor a preprocessed .npz or .pkl file; "
            "name the folder that it lies in, "
            "whose zip archives are read without unpacking them."
        )
    if not raw.is_dir():
        raise UserError(
            f"the raw folder {raw} (`data.raw`) is missing; put the data set there, "
            "or make the demo's with `dvc repro`."
        )
    for path in _files(raw):
        if not path.lower().endswith(ZIP):
            yield path
            continue
        try:
            yield from (
                f"{path}{MARK}{member}" for member in members(raw / path) if not is_hidden(member)
            )
        except PlaceError as error:
            raise UserError(
                f"{raw / path}: {error}; download it again or move it elsewhere."
            ) from None
        except OSError as error:
            raise UserError(
                f"{raw / path} cannot be read ({error.strerror or error}); "
                "repair it or move it elsewhere."
            ) from None


def _files(raw: Path) -> Iterator[str]:
    seen: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        raise UserError(
            f"{error.filename} cannot be read ({error.strerror}); change its permissions."
        )

    for folder, inner, files in os.walk(raw, followlinks=True, onerror=refuse):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:  # a link back to a folder already walked
            inner.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        inner[:] = sorted(name for name in inner if not is_hidden(name))
        relative = Path(folder).relative_to(raw)
        shown = sorted(file for file in files if not is_hidden(file))
        yield from ((relative / file).as_posix() for file in shown)
