"""What goes wrong with disks, in one sentence."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from c2vl.core.errors import UserError

REASONS = {
    errno.ENOSPC: ("is on a full disk", "free some space"),
    errno.EDQUOT: ("is over its quota", "free some space"),
    errno.EROFS: ("is read-only", "make it writable"),
    errno.EACCES: ("is not yours to read or write", "mend its permissions"),
    errno.EPERM: ("is not yours to read or write", "mend its permissions"),
}


def is_gone(error: OSError) -> bool:
    """Whether a file has been removed; a network disk says so in its own way."""
    return error.errno in (errno.ENOENT, errno.ESTALE)


@contextlib.contextmanager
def explained(
    folder: Path, what: str = "store", instead: str = " or set C2VL_STORE to another folder"
) -> Iterator[None]:
    """Turn an `OSError` on the way to or from `folder` into a `UserError`.

    Args:
        folder: what is written to or read from.
        what: it is, in a word.
        instead: what to do if the disk cannot be mended.
    """
    try:
        yield
    except OSError as error:
        why, mend = REASONS.get(
            error.errno or 0, (f"cannot be used ({error.strerror or error})", "mend it")
        )
        raise UserError(
            f"The {what} {folder} {why}; {mend}{instead}, then run again: what was published is "
            "kept."
        ) from None
