"""The exception whose text is for users, and the decorator that prints it."""

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
    """An error that the user can fix; its text says what is wrong and what to do."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an `OSError` while writing `path` into a `UserError`.

    Args:
        path: the file that the user asked for.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror or error}); name another place."
        ) from None


def one_sentence(main: Callable[P, None]) -> Callable[P, None]:
    """Print a `UserError` of `main` as one line on stderr and exit with status 1.

    Ctrl-C exits with status 130, a closed pipe (`c2vl failures | head`) with 141. The messages of
    the library appear while `main` runs.
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
        except BrokenPipeError:
            # Flushing stdout at exit must not raise again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)

    return guarded
