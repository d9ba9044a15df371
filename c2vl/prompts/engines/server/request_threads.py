"""Threads for requests that do not hold up the end of the program."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")


class RequestThreads:
    """Runs calls in `count` daemon threads, in the order they come.

    The interpreter waits at its end for the threads of `concurrent.futures`. A stuck server may
    hold each of them for minutes, so an interrupted stage would hang; these are not waited for.
    """

    def __init__(self, count: int) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = (
            SimpleQueue()
        )
        for _ in range(count):
            threading.Thread(target=self._work, name="request", daemon=True).start()

    def submit(self, function: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Call `function` with `arguments` in a thread; return the future result."""
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
            del future, arguments  # an image, which would stay in memory until the next call
