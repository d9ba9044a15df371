"""Digests of files; those of very large files are remembered, because a 14 GB checkpoint takes half a minute."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any

from c2vl.core.files import read_json, write_json
from c2vl.core.machine import state_dir

LARGE = 64 * 2**20


def file_digest(path: Path) -> str:
    """Hex blake2b of the bytes of `path`.

    Of a large file the digest is kept in `.c2vl/digests.json` together with its size and time of change,
    and believed as long as both are the same.
    """
    status = path.stat()
    if status.st_size < LARGE:
        return _digest(path)
    place, name = state_dir() / "digests.json", str(path.resolve())
    signature = [status.st_size, status.st_mtime_ns, status.st_ino]
    known = _read(place)
    if name in known and known[name][0] == signature:
        return str(known[name][1])
    digest = _digest(path)
    # Read again: another process may have added its own files meanwhile. A lost entry costs one more hashing.
    write_json(place, {**_read(place), name: [signature, digest]})
    return digest


def _read(place: Path) -> dict[str, Any]:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return dict(read_json(place))
    return {}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
