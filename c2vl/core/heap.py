"""The C library's heap, told to keep what a network on a CPU frees: the next layer asks for as much again."""

from __future__ import annotations

import ctypes
import os
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # of mallopt(3)
VARIABLES = (
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "MALLOC_MMAP_THRESHOLD_",
    "GLIBC_TUNABLES",
)  # of the user, who then knows better
KEPT = 256 * 2**20  # bytes that may lie free
AT_ONCE = 16 * 2**20  # bytes by which the heap grows
LARGEST = 32 * 2**20  # bytes; larger blocks always are the system's own, and go back to it


def keep_freed_memory() -> None:
    """Have this process keep freed memory, up to `KEPT`, where its C library is glibc and its own variables say nothing.

    By itself glibc returns large blocks to the system and asks for them anew, which costs a page fault for every 4 KB: of a
    small encoder a fifth of its time (`bench/engines.py`), of a training step a twentieth (docs/training.md). On a GPU torch
    keeps memory itself.
    """
    if sys.platform != "linux" or any(name in os.environ for name in VARIABLES):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        for what, size in ((TRIM_THRESHOLD, KEPT), (TOP_PAD, AT_ONCE), (MMAP_THRESHOLD, LARGEST)):
            mallopt(what, size)
