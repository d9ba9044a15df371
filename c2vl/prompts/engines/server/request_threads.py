"""Threads for requests: the interpreter does not wait for them when it ends, as it does for those of `concurrent.futures`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")


class RequestThreads:
    """Runs calls in `count` threads, first come, first served.

    A server that is stuck may hold each of them for minutes; a stage that was interrupted must not hang for that long.
    """

    def __init__(self, count: int) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = (
            SimpleQueue()
        )
        for _ in range(count):
            threading.Thread(target=self._work, name="ask", daemon=True).start()

    def submit(self, function: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Have `function` called with `arguments`."""
        future: Future[Result] = Future()
        self._calls.put((future, function, arguments))
        return future

    def cancel(self) -> None:
        """Cancel the calls that have not begun."""
        with suppress(Empty):
            while True:
                self._calls.get_nowait()[0].cancel()

    def _work(self) -> None:
        while True:
            future, function, arguments = self._calls.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*arguments))
                except BaseException as error:
                    future.set_exception(error)
            del future, arguments  # a picture
