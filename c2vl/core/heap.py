"""Makes the C library keep freed memory, because the next layer of a network needs it again."""

from __future__ import annotations

import ctypes
import os
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # of mallopt(3)
VARIABLES = (  # if the user sets one of these, the user's setting wins
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "MALLOC_MMAP_THRESHOLD_",
    "GLIBC_TUNABLES",
)
KEPT = 256 * 2**20  # bytes of freed memory to keep
AT_ONCE = 16 * 2**20  # bytes by which the heap grows
LARGEST = 32 * 2**20  # bytes; larger blocks always go back to the system


def keep_freed_memory() -> None:
    """Let this process keep up to `KEPT` bytes of freed memory, if its C library is glibc.

    By default glibc returns large blocks to the system and requests them again, which costs a page
    fault for every 4 KB. That is a fifth of a small encoder's time (`bench/engines.py`) and a
    twentieth of a training step. On a GPU torch keeps memory itself.
    """
    if sys.platform != "linux" or any(name in os.environ for name in VARIABLES):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        for what, size in ((TRIM_THRESHOLD, KEPT), (TOP_PAD, AT_ONCE), (MMAP_THRESHOLD, LARGEST)):
            mallopt(what, size)
