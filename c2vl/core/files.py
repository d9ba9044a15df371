"""Files that are there whole or not at all: write beside, fsync, rename."""

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
    """Yield a temporary path beside `path`; on success it is fsynced and renamed to `path`, else removed.

    Without `durable` it is not fsynced: it survives the death of this process, but perhaps not a power cut.
    """
    with draft(path.parent, path.name) as temporary:
        yield temporary
        put_in_place(temporary, path, durable)


@contextlib.contextmanager
def draft(folder: Path, name: str) -> Iterator[Path]:
    """Yield a temporary path in `folder`, called after `name`, for `put_in_place`; what is not put in place is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    handle, path = tempfile.mkstemp(dir=folder, prefix=f".{name}.", suffix=".part")
    os.close(handle)
    temporary = Path(path)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def put_in_place(temporary: Path, path: Path, durable: bool = True) -> None:
    """Rename a draft to `path`, in the same folder; with `durable` it is fsynced before, and its name after."""
    if durable:
        _sync_file(temporary)
    temporary.chmod(0o644)
    temporary.replace(path)
    if durable:
        _sync_directory(path.parent)


def make_durable(path: Path) -> None:
    """Let `path`, written without `durable`, survive a power cut too."""
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
    """Publish `content` at `path` atomically; as `published`, in fewer steps: the store does it beside a busy engine."""
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
    """Publish `content` as indented JSON with sorted keys, so that equal content gives equal bytes."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


def read_json(path: Path) -> Any:
    """Return the JSON document at `path`."""
    return json.loads(path.read_text(encoding="utf-8"))
