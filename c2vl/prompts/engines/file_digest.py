"""Digests of files. Those of large files are cached: hashing 14 GB takes half a minute."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from c2vl.core import digest as content_digest
from c2vl.core.files import read_json, write_json
from c2vl.core.machine import state_dir

LARGE = 64 * 2**20  # bytes


def file_digest(path: Path) -> str:
    """Hex blake2b of the bytes of `path`.

    The digest of a large file is kept in `.c2vl/digests.json` with the file's size, inode and time
    of change, and is used as long as these stay the same.
    """
    status = path.stat()
    if status.st_size < LARGE:
        return content_digest.file_digest(path)
    cache, name = state_dir() / "digests.json", str(path.resolve())
    signature = [status.st_size, status.st_mtime_ns, status.st_ino]
    known = _read(cache)
    if name in known and known[name][0] == signature:
        return str(known[name][1])
    own = content_digest.file_digest(path)
    # Read again, because another process may have added files. A lost entry costs one hashing.
    write_json(cache, {**_read(cache), name: [signature, own]})
    return own


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return dict(read_json(path))
    return {}
