"""The threads of an engine on a CPU follow OMP_NUM_THREADS, as every other program's do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from c2vl.core import machine
from c2vl.core.errors import UserError
from c2vl.prompts.base import engine_device


@pytest.fixture(autouse=True)
def threads_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("OMP_NUM_THREADS", "C2VL_WORKERS", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("C2VL_DEVICE", "cpu")
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({"C2VL_WORKERS": "3"}, 3),
        ({"C2VL_WORKERS": "6", "LOCAL_WORLD_SIZE": "2"}, 3),
        ({"C2VL_WORKERS": "6", "OMP_NUM_THREADS": "1"}, 1),
        ({"C2VL_WORKERS": "1", "OMP_NUM_THREADS": "4"}, 4),
        ({"OMP_NUM_THREADS": "2,1"}, 2),  # OpenMP's way to name nested threads
        ({"C2VL_WORKERS": "2", "OMP_NUM_THREADS": ""}, 2),
    ],
)
def test_engines_use_as_many_threads_as_they_may(
    environment: dict[str, str], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert engine_device() == torch.device("cpu")
    assert torch.get_num_threads() == threads


def test_by_default_all_cores() -> None:
    assert machine.engine_threads() == machine.cores()


@pytest.mark.parametrize("value", ["many", "0", "-2"])
def test_a_wrong_value_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    with pytest.raises(UserError, match="OMP_NUM_THREADS must be a positive whole number"):
        machine.engine_threads()
