"""Writes files atomically: to a temporary file in the same folder, then fsync and rename."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def published(path: Path, durable: bool = True) -> Iterator[Path]:
    """Write a file at `path` atomically.

    Yields a temporary path in the same folder. On success it is renamed to `path`, on an error it
    is removed.

    Args:
        path: the file to write.
        durable: fsync it, so that it survives a power cut. Without, it only survives the death of
            this process.
    """
    with draft(path.parent, path.name) as temporary:
        yield temporary
        put_in_place(temporary, path, durable)


@contextlib.contextmanager
def draft(folder: Path, name: str) -> Iterator[Path]:
    """Yield a temporary file in `folder`; it is removed at the end unless `put_in_place` moved it.

    Args:
        folder: created if it does not exist.
        name: part of the temporary file's name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle, path = tempfile.mkstemp(dir=folder, prefix=f".{name}.", suffix=".part")
    os.close(handle)
    temporary = Path(path)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def put_in_place(temporary: Path, path: Path, durable: bool = True) -> None:
    """Rename a draft to `path` in the same folder; with `durable`, fsync the file and the name."""
    if durable:
        _sync_file(temporary)
    temporary.chmod(0o644)
    temporary.replace(path)
    if durable:
        _sync_directory(path.parent)


def make_durable(path: Path) -> None:
    """Fsync the file `path` and its name, so that both survive a power cut."""
    _sync_file(path)
    _sync_directory(path.parent)


def _sync_file(path: Path) -> None:
    with path.open("rb+") as written:
        os.fsync(written.fileno())


def _sync_directory(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes | memoryview, durable: bool = True) -> None:
    """Write `content` to `path` atomically.

    It does the same as `published` with fewer system calls, because the sample store writes while
    an engine computes.
    """
    folder, name = os.path.split(path)
    try:
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.", suffix=".part")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.", suffix=".part")
    try:
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(handle, left) :]
            if durable:
                os.fsync(handle)
        finally:
            os.close(handle)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if durable:
        _sync_directory(path.parent)


def write_json(path: Path, content: Any) -> None:
    """Publish `content` as JSON with sorted keys; equal content gives equal bytes."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


def read_json(path: Path) -> Any:
    """Return the JSON document at `path`."""
    return json.loads(path.read_text(encoding="utf-8"))
