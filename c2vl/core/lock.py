"""One run of a stage at a time in a working copy.

The lock is the kernel's (`flock`), so it ends with its process, however that dies. The file's text
says who holds it. Processes that only fill the store take no lock: the store needs none.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from c2vl.core.disk_errors import explained
from c2vl.core.errors import UserError
from c2vl.core.machine import state_dir

log = logging.getLogger(__name__)


@contextlib.contextmanager
def stage_lock(stage: str, folder: Path | None = None) -> Iterator[None]:
    """Hold the lock of `stage`.

    Raises:
        UserError: another process holds it, or the lock file cannot be made.
    """
    path = (folder or state_dir() / "locks") / f"{stage}.lock"
    with explained(path.parent, "folder", " or set C2VL_HOME to another one"):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    with contextlib.closing(file):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise UserError(
                f"{stage} is already running here ({holder}), perhaps left over from a killed "
                "`dvc repro`; wait for it or stop it with `kill`, then run again: what it finished "
                "is kept."
            ) from None
        except OSError as error:  # a network disk without locks; two runs would only waste time
            log.warning(
                "%s: %s cannot be locked (%s); do not start it twice.",
                stage,
                path.parent,
                error.strerror,
            )
        with contextlib.suppress(OSError):  # on a full disk; the lock holds without its text
            os.ftruncate(file.fileno(), 0)
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            holder = f"process {os.getpid()} on {socket.gethostname()} since {since}"
            os.write(file.fileno(), holder.encode())
        yield
