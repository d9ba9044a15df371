"""Where a raw file lies: a path in the raw folder, or `archive.zip!name` inside a zip archive."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from c2vl.core.digest import file_digest
from c2vl.core.temporary_files import temporary_file
from c2vl.datasets.zip_archive import PlaceError as PlaceError
from c2vl.datasets.zip_archive import open_archive

ZIP = ".zip"
MARK = "!"  # between an archive and its member
MOST_TEXT = 64 * 2**20  # bytes; the longest real skeleton files have some 15 MB
MOST_VIDEO = 4 * 2**30


def split(place: str) -> tuple[str, str | None]:
    """The path of a file, and the name of the member where that file is an archive.

    Examples:
        >>> split("skeletons.zip!nturgb+d_skeletons/S001C001P001R001A001.skeleton")
        ('skeletons.zip', 'nturgb+d_skeletons/S001C001P001R001A001.skeleton')
        >>> split("a/S001C001P001R001A001.skeleton")
        ('a/S001C001P001R001A001.skeleton', None)
    """
    at = place.lower().find(ZIP + MARK)
    return (place, None) if at < 0 else (place[: at + len(ZIP)], place[at + len(ZIP) + len(MARK) :])


def leads_out(name: str) -> bool:
    """Whether a relative path, or a member's name, would lead out of its folder."""
    return (
        not name
        or name.startswith("/")
        or "\\" in name
        or "\0" in name
        or name[1:2] == ":"
        or ".." in name.split("/")
    )


def read(raw: Path, place: str, most: int = MOST_TEXT) -> bytes:
    """The bytes at `place`.

    Raises:
        PlaceError: it cannot be read, leads out of `raw`, or has more than `most` bytes.
    """
    path, member = _checked(place)
    try:
        if member is not None:
            return open_archive(raw / path).read(member, most)
        size = _regular(raw / path).st_size
        if size > most:
            raise PlaceError(f"the file is absurdly large ({size:,} bytes)")
        return (raw / path).read_bytes()
    except OSError as error:
        raise PlaceError(f"it cannot be read ({error.strerror or error})") from None


def head(raw: Path, place: str, count: int) -> bytes:
    """The first bytes at `place`, at most `count`.

    Raises:
        PlaceError: as `read`.
    """
    path, member = _checked(place)
    try:
        if member is not None:
            return open_archive(raw / path).read(member, MOST_VIDEO, count)
        _regular(raw / path)
        with (raw / path).open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise PlaceError(f"it cannot be read ({error.strerror or error})") from None


def state(raw: Path, place: str) -> tuple[int, int]:
    """Size and time of change of the file at `place`, or of the archive that holds it.

    They show cheaply that a file changed.

    Raises:
        PlaceError: as `read`.
    """
    path, _ = _checked(place)
    try:
        status = (raw / path).stat()
    except OSError as error:
        raise PlaceError(f"it cannot be read ({error.strerror or error})") from None
    return status.st_size, status.st_mtime_ns


@contextlib.contextmanager
def as_file(raw: Path, place: str) -> Iterator[Path]:
    """A file with the bytes at `place`, for readers that need one; a member's is temporary.

    Raises:
        PlaceError: as `read`.
    """
    path, member = _checked(place)
    if member is None:
        if (raw / path).exists():  # else its reader says so
            _regular(raw / path)
        yield raw / path
        return
    try:
        pieces = open_archive(raw / path).pieces(member, MOST_VIDEO)
    except OSError as error:
        raise PlaceError(f"it cannot be read ({error.strerror or error})") from None
    try:
        with temporary_file(Path(member).suffix[:8]) as (file, unpacked):
            for piece in pieces:
                file.write(piece)
            file.flush()
            yield unpacked
    except OSError as error:
        raise PlaceError(
            f"it cannot be unpacked for decoding ({error.strerror or error})"
        ) from None


def digest(path: Path) -> str:
    """blake2b-128 of a file's bytes, hex; remembered while its size and time of change stay.

    Raises:
        OSError: the file cannot be read.
    """
    status = path.stat()
    return _digest(os.fspath(path), status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=256)
def _digest(path: str, size: int, changed: int, node: int) -> str:
    return file_digest(Path(path))


def members(archive: Path) -> list[str]:
    """Names of the files in a zip archive, sorted.

    Raises:
        PlaceError: it is no readable archive.
        OSError: the file cannot be read.
    """
    return open_archive(archive).names


def _checked(place: str) -> tuple[str, str | None]:
    path, member = split(place)
    # Some programs on Windows write members as `folder\name`; a member is looked up in its
    # archive, never on the disk.
    if leads_out(path) or (member is not None and leads_out(member.replace("\\", "/"))):
        raise PlaceError("its name leads out of the folder")
    return path, member


def _regular(path: Path) -> os.stat_result:
    """What is known of a file; reading a pipe or a device would wait for ever."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise PlaceError("it is not a regular file")
    return status
