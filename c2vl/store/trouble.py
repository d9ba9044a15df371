"""What goes wrong with disks, in one sentence."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from c2vl.errors import UserError

TROUBLE = {
    errno.ENOSPC: "is on a full disk; free some space",
    errno.EDQUOT: "is over its quota; free some space",
    errno.EROFS: "is read-only; make it writable or set C2VL_STORE to a folder that is",
    errno.EACCES: "is not writable for you; mend its permissions or set C2VL_STORE",
}


def is_gone(error: OSError) -> bool:
    """Whether a file has been removed: also on another machine, which a network disk says in its own way."""
    return error.errno in (errno.ENOENT, errno.ESTALE)


@contextlib.contextmanager
def said_plainly(folder: Path) -> Iterator[None]:
    """Turn an `OSError` on the way to or from the store in `folder` into a `UserError`."""
    try:
        yield
    except OSError as error:
        why = TROUBLE.get(error.errno or 0, f"cannot be used ({error.strerror or error}); mend it or set C2VL_STORE")
        raise UserError(f"The store {folder} {why}, then run again: all that was published is kept.") from None
