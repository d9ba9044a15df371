"""What goes wrong with disks, in one sentence."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from c2vl.core.errors import UserError

TROUBLE = {
    errno.ENOSPC: ("is on a full disk", "free some space"),
    errno.EDQUOT: ("is over its quota", "free some space"),
    errno.EROFS: ("is read-only", "make it writable"),
    errno.EACCES: ("is not writable for you", "mend its permissions"),
}


def is_gone(error: OSError) -> bool:
    """Whether a file has been removed: also on another machine, which a network disk says in its own way."""
    return error.errno in (errno.ENOENT, errno.ESTALE)


@contextlib.contextmanager
def said_plainly(
    folder: Path, what: str = "store", instead: str = " or set C2VL_STORE to another folder"
) -> Iterator[None]:
    """Turn an `OSError` on the way to or from `folder` into a `UserError`.

    Args:
        folder: what is written to.
        what: it is, in a word.
        instead: of mending the disk.
    """
    try:
        yield
    except OSError as error:
        why, mend = TROUBLE.get(
            error.errno or 0, (f"cannot be used ({error.strerror or error})", "mend it")
        )
        raise UserError(
            f"The {what} {folder} {why}; {mend}{instead}, then run again: what was published is kept."
        ) from None
