"""For every test."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from c2vl.core.messages import show_messages

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
