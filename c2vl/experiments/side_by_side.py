"""Runs independent computations in parallel processes."""

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
    """Yield (key, `function(*arguments)`) as soon as each one is finished.

    On a CPU `C2VL_WORKERS` processes run in parallel; on a GPU one.

    Args:
        todo: arguments by key; they must be picklable.
        function: a function of a module, so that processes can import it.
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
