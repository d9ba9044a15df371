"""How worker processes are started for torch's `DataLoader`, so that a killed one is noticed."""

from __future__ import annotations

import multiprocessing
from ctypes import c_bool
from multiprocessing import queues
from multiprocessing.context import SpawnContext
from typing import Any

CHECK_SECONDS = 0.2  # between two looks at whether all workers live; torch's are 5 s apart


class _Flag:
    """The part of `multiprocessing.Event` that `DataLoader` uses, without a lock.

    A worker looks at it before each item. A worker that was killed while it looked would keep a
    lock forever, and this process would wait for it at the end.
    """

    def __init__(self) -> None:
        self._value = multiprocessing.RawValue(c_bool, False)

    def set(self) -> None:
        """Tell the workers to end."""
        self._value.value = True

    def is_set(self) -> bool:
        """Whether the workers are to end."""
        return bool(self._value.value)


class _Queue(queues.Queue):
    """A queue that waits at most `CHECK_SECONDS`; then `DataLoader` looks for dead workers."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next message; see `queue.Queue.get`."""
        return super().get(block, timeout and min(timeout, CHECK_SECONDS))


class Spawn(SpawnContext):
    """Starts processes as `spawn` does."""

    def Event(self) -> Any:  # noqa: N802, the name that `DataLoader` calls
        """A flag that a killed process cannot hold."""
        return _Flag()

    def Queue(self, maxsize: int = 0) -> Any:  # noqa: N802, as above
        """A queue that lets a dead worker be noticed soon."""
        return _Queue(maxsize, ctx=self.get_context())
