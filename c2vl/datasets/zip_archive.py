"""Read zip archives of raw files: what they hold, and members whole or piece by piece."""

from __future__ import annotations

import lzma
import os
import struct
import threading
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

OPEN_ARCHIVES = 64  # NTU120's videos come in 32; a directory of 57,000 members takes some 40 MB
PIECE = 2**20  # bytes in memory at once
# Videos are compressed already. Deflate reaches 1,032 for zeros: such a member fills the disk.
MOST_RATIO, SMALL = 100, 64 * 2**20
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
_opening = threading.Lock()


class PlaceError(Exception):
    """A place cannot be read; the text is a reason fit for a table row."""


class Archive:
    """An open zip file, and its directory read once."""

    def __init__(self, path: str) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except _DAMAGE as error:
            raise PlaceError(f"it is not a readable zip archive ({_short(error)})") from None
        counts = Counter(
            info.filename for info in self._zip.infolist() if not info.filename.endswith("/")
        )
        self.names = sorted(counts)
        self._twice = {name for name, count in counts.items() if count > 1}

    def read(self, member: str, most: int, first: int | None = None) -> bytes:
        """The bytes of `member`, or its `first` ones; what it declares bounds what is unpacked.

        Raises:
            PlaceError: it cannot be read, or declares more than `most` bytes.
        """
        return b"".join(self._pieces(self._info(member, most), first))

    def pieces(self, member: str, most: int) -> Iterator[bytes]:
        """The bytes of a large `member`, in pieces of at most 1 MiB or what one read unpacks.

        Raises:
            PlaceError: as `read`, or it would unpack to over 100 times its size in the archive.
        """
        info = self._info(member, most)
        if info.file_size > max(SMALL, MOST_RATIO * info.compress_size):
            raise PlaceError(
                f"it would unpack to {info.file_size:,} bytes, over {MOST_RATIO} times its size in "
                "the archive, so it is no video"
            )
        return self._pieces(info)

    def _info(self, member: str, most: int) -> zipfile.ZipInfo:
        if member in self._twice:
            raise PlaceError("the archive holds two files of that name")
        try:
            info = self._zip.getinfo(member)
        except KeyError:
            raise PlaceError("the archive no longer holds that file") from None
        if info.flag_bits & 1:
            raise PlaceError("it is encrypted; unpack the archive with its password")
        if info.file_size > most:
            raise PlaceError(f"the file is absurdly large ({info.file_size:,} bytes once unpacked)")
        return info

    def _pieces(self, info: zipfile.ZipInfo, first: int | None = None) -> Iterator[bytes]:
        left = info.file_size if first is None else min(first, info.file_size)
        try:
            with self._zip.open(info) as file:
                while left and (piece := file.read(min(left, PIECE))):
                    left -= len(piece)
                    yield piece
        except _DAMAGE as error:
            raise PlaceError(f"it is damaged in the archive ({_short(error)})") from None
        if left:
            raise PlaceError("it is truncated in the archive")


def open_archive(path: Path) -> Archive:
    """The archive at `path`; it stays open, and is opened again if the file changes.

    Raises:
        PlaceError: it is no readable archive.
        OSError: the file cannot be read.
    """
    status = path.stat()
    with _opening:  # threads share an archive; ZipFile guards its own reading
        return _opened(os.fspath(path), status.st_size, status.st_mtime_ns, os.getpid())


@lru_cache(maxsize=OPEN_ARCHIVES)
def _opened(path: str, size: int, changed: int, process: int) -> Archive:
    return Archive(path)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:80] or type(error).__name__
