"""Temporary files that do not stay behind, however their process ends.

Each file is locked (`flock`) as long as its process uses it. The kernel frees the lock when the
process dies, also by SIGKILL. The next process that makes such a file removes all unlocked ones.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

PREFIX = "c2vl-temporary-"


@contextlib.contextmanager
def temporary_file(suffix: str = "") -> Iterator[tuple[BinaryIO, Path]]:
    """Yield a new file in the system's temporary folder, open for writing, and its path.

    Raises:
        OSError: it cannot be made.
    """
    _clean_once(tempfile.gettempdir(), os.getpid())
    file, path = _locked(suffix)
    try:
        with file:
            yield file, path
    finally:
        path.unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> int:
    """Remove the temporary files in `folder` that no process uses; return their number."""
    removed = 0
    for path in folder.glob(f"{PREFIX}*"):
        # Somebody else's, or on a disk without locks: then it is not ours to judge.
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            removed += 1
    return removed


@cache
def _clean_once(folder: str, process: int) -> None:
    with contextlib.suppress(OSError):
        remove_abandoned(Path(folder))


def _locked(suffix: str) -> tuple[BinaryIO, Path]:
    while True:
        handle, name = tempfile.mkstemp(prefix=PREFIX, suffix=suffix)
        file = os.fdopen(handle, "wb")
        with contextlib.suppress(OSError):  # a disk without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        # Another process may have removed the file before it was locked.
        if os.fstat(handle).st_nlink:
            return file, Path(name)
        file.close()
