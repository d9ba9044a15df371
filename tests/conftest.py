"""For every test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from warm_python import warm_python

from c2vl.core.messages import show_messages

# Two processes that run tests on two cores, with two threads each, wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
show_messages()  # as stages and commands do, so that a test may capture what the library says

# A shell that starts the suite in the background makes its children ignore Ctrl-C. Some tests
# send Ctrl-C, so it must work.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold slow tests; else, one worker does them alone at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread, as trainings do."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a `python` and a `c2vl` that start quickly, for `PATH`."""
    with warm_python(tmp_path_factory.mktemp("warm")) as folder:
        yield folder
