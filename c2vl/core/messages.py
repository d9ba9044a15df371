"""Where the library's messages go: nowhere by default, to the terminal in stages and commands.

The library logs: `log = logging.getLogger(__name__)`, `log.info` for progress and `log.warning` for
what a user should act on. Only stages and commands print.
"""

from __future__ import annotations

import io
import logging
import sys


class Terminal(logging.Handler):
    """Writes information to stdout and warnings to stderr, one plain line a message."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the message of `record`."""
        stream = sys.stderr if record.levelno >= logging.WARNING else sys.stdout
        stream.write(f"{record.getMessage()}\n")
        stream.flush()


def show_messages() -> None:
    """Show the library's messages in this process; calling it again changes nothing.

    What stdout's encoding lacks is printed as an escape: Latin-1 has few characters, and a file's
    name may hold bytes that no encoding has.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    library = logging.getLogger("c2vl")
    if not any(isinstance(handler, Terminal) for handler in library.handlers):
        library.addHandler(Terminal())
        library.setLevel(logging.INFO)
