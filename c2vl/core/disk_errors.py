"""What goes wrong with disks, in one sentence."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from c2vl.core.errors import UserError

REASONS = {
    errno.ENOSPC: ("is on a full disk", "free some space"),
    errno.EDQUOT: ("is over its quota", "free some space"),
    errno.EROFS: ("is read-only", "make it writable"),
    errno.EACCES: ("does not permit you to read or write", "change its permissions"),
    errno.EPERM: ("does not permit you to read or write", "change its permissions"),
}

P = ParamSpec("P")
Result = TypeVar("Result")


class InFolder(Protocol):
    """An object whose files lie in one folder of the store."""

    folder: Path


Holder = TypeVar("Holder", bound=InFolder)


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
        why, remedy = REASONS.get(
            error.errno or 0, (f"cannot be used ({error.strerror or error})", "repair it")
        )
        raise UserError(
            f"The {what} {folder} {why}; {remedy}{instead}, then run again: what was published is "
            "kept."
        ) from None


def explains_disk_errors(
    method: Callable[Concatenate[Holder, P], Result],
) -> Callable[Concatenate[Holder, P], Result]:
    """Decorate a method of an object with a `folder`: its disk errors are `explained`."""

    @wraps(method)
    def wrapped(self: Holder, *args: P.args, **kwargs: P.kwargs) -> Result:
        with explained(self.folder):
            return method(self, *args, **kwargs)

    return wrapped
