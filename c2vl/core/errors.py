"""The one exception a user is meant to read, and the guard that prints it."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec

from c2vl.core.messages import show_messages

P = ParamSpec("P")
log = logging.getLogger(__name__)


class UserError(Exception):
    """Something the user can mend; its text is one clear sentence that says what to do."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn whatever keeps a file from being written where the user wants it, at `path`, into a `UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror or error}); name another place."
        ) from None


def one_sentence(main: Callable[P, None]) -> Callable[P, None]:
    """Turn a `UserError` (or Ctrl-C) raised by `main` into one line on stderr and a non-zero exit.

    For the `main` of a stage or command; the library's messages appear while it runs.
    """

    @functools.wraps(main)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        show_messages()
        try:
            main(*args, **kwargs)
        except UserError as error:
            log.error("c2vl: %s", error)
            sys.exit(1)
        except KeyboardInterrupt:
            log.error(
                "c2vl: interrupted; what was finished is kept, run the same command to go on."
            )
            sys.exit(130)
        except BrokenPipeError:  # `c2vl failures | head`: the reader has seen enough
            os.dup2(
                os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
            )  # else flushing at exit raises again
            sys.exit(141)

    return guarded
