"""Workers beside an engine: processes that end with the one that started them, threads that let the engine go first."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing.connection import wait

NICE = 5  # of 19: a core that is shared gives three quarters of its time to the engine


def follow_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it ends: a killed stage must not leave workers behind."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()


@contextlib.contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Processes that are started inside never hear Ctrl-C, which a terminal sends to them too: not even while they start.

    It is the parent's, and reaches it at the end of the block at the latest.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # starts with the first process, and would let interrupts in again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def step_back(by: int = NICE) -> None:
    """Have the scheduler prefer others to this thread, where it can: what is prepared ahead can wait, the engine should not.

    Args:
        by: niceness above the main thread's. Not much for a thread: it may hold Python's lock, and then the engine waits too.
    """
    if sys.platform == "linux":  # there a thread has a priority of its own
        with contextlib.suppress(OSError):
            usual = os.getpriority(os.PRIO_PROCESS, os.getpid())  # the main thread's
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(19, usual + by))
