"""Independent computations in as many processes as this machine has workers."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

from c2vl.core import machine
from c2vl.core.messages import show_messages
from c2vl.core.workers import follow_parent

T = TypeVar("T")


def _begin() -> None:
    follow_parent()
    show_messages()


def side_by_side(
    todo: Mapping[str, tuple[object, ...]], function: Callable[..., T]
) -> Iterator[tuple[str, T]]:
    """Yield (key, `function(*arguments)`) as they end.

    On a CPU in as many processes as this machine allows (`C2VL_WORKERS`); a GPU has one at a time.

    Args:
        todo: arguments by key; they and `function` travel to other processes.
        function: a function of a module.
    """
    if not todo:
        return
    count = min(len(todo), machine.workers() if machine.device().type == "cpu" else 1)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_begin) as pool:
        waiting = {pool.submit(function, *arguments): key for key, arguments in todo.items()}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
