"""What worker processes do in tests; they start sooner without the tests' imports."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from multiprocessing import current_process
from typing import Any

import numpy as np

from c2vl.store.stage import Failure

POISON = (b"poison 1", b"poison 2")  # two items that end their worker


def decoded(contents: Sequence[bytes]) -> list[Any]:
    if any(content.startswith(b"raise") for content in contents):
        raise ValueError("not a picture")
    return [
        Failure("unreadable", "no picture at all")
        if content.startswith(b"unreadable")
        else (np.frombuffer(content, np.uint8).copy(), os.getpid())
        for content in contents
    ]


def killed(contents: Sequence[bytes]) -> list[Any]:
    if current_process().name != "MainProcess":
        os.kill(os.getpid(), signal.SIGKILL)
    return decoded(contents)


def die(process: int) -> Any:
    """What a process other than `process` finds in place of a preparer."""
    if os.getpid() != process:
        os.kill(os.getpid(), signal.SIGKILL)
    return decoded


class Dying:
    """A preparer that ends the process to which it is sent."""

    def __reduce__(self) -> Any:
        return die, (os.getpid(),)

    def __call__(self, contents: Sequence[bytes]) -> list[Any]:
        return decoded(contents)


def poisoned(contents: Sequence[bytes]) -> list[Any]:
    """`decoded`, where two items abort the process that prepares them."""
    if any(content in POISON for content in contents):
        os.abort()
    return decoded(contents)


def answered(contents: Sequence[bytes]) -> list[Any]:
    return [{"answer": content.decode(), "finished": True} for content in contents]


def aborting(contents: Sequence[bytes]) -> list[Any]:
    if POISON[0] in contents:
        os.abort()
    return answered(contents)


def too_large(contents: Sequence[bytes]) -> list[Any]:
    """Ends as if the system had killed the process for lack of memory."""
    if POISON[0] in contents:
        os.kill(os.getpid(), signal.SIGKILL)
    return answered(contents)
