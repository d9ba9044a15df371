"""Which files of a folder a command opens, from Python, C++ or child processes (Linux only)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path

IN_OPEN, IN_CREATE, IN_MOVED_TO, IN_ISDIR, IN_NONBLOCK = 0x20, 0x100, 0x80, 0x40000000, 0o4000
EVENT = struct.Struct("iIII")
LEFT_OUT = {".git", ".dvc", ".c2vl", "__pycache__"}


@contextlib.contextmanager
def opened_files(root: Path) -> Iterator[set[str]]:
    """Within the block, watch the folders that are below `root` when it begins.

    Yields:
        A set. After the block it holds the paths below `root` that were opened, without those that
        the block wrote.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.inotify_init1(IN_NONBLOCK)
    assert handle >= 0, os.strerror(ctypes.get_errno())
    folders: dict[int, Path] = {}
    for folder, names, _ in os.walk(root):
        names[:] = [name for name in names if name not in LEFT_OUT]
        mask = IN_OPEN | IN_CREATE | IN_MOVED_TO
        folders[libc.inotify_add_watch(handle, os.fsencode(folder), mask)] = Path(folder)
    found: set[str] = set()
    try:
        yield found
        opened, written = set[str](), set[str]()
        for watch, mask, name in _events(handle):
            path = str((folders[watch] / name).relative_to(root))
            if not mask & IN_ISDIR:
                (opened if mask & IN_OPEN else written).add(path)
        found |= opened - written
    finally:
        os.close(handle)


def _events(handle: int) -> Iterator[tuple[int, int, str]]:
    while True:
        try:
            data = os.read(handle, 1 << 20)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            watch, mask, _, size = EVENT.unpack_from(data, at)
            name = data[at + EVENT.size : at + EVENT.size + size].rstrip(b"\0")
            at += EVENT.size + size
            assert watch >= 0, "more events than the kernel keeps"
            if name:
                yield watch, mask, os.fsdecode(name)
