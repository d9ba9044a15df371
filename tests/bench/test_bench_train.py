"""The training benchmark runs, and takes a smaller batch if memory is short."""

from __future__ import annotations

import argparse
import importlib.util
import signal
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    path = Path(__file__).resolve().parents[2] / "bench/train.py"
    spec = importlib.util.spec_from_file_location("bench_train", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    handler = signal.getsignal(signal.SIGCHLD)
    yield module
    # torch's `DataLoader` leaves a handler here, which raises when any test ends its workers.
    signal.signal(signal.SIGCHLD, handler)


def test_a_batch_that_does_not_fit_is_halved_and_returned(bench: ModuleType) -> None:
    tried = []

    def measured(batch: int) -> dict[str, float]:
        tried.append(batch)
        if batch > 100:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return {"step": 1.0}

    assert bench.where_memory_allows(measured, 400) == (100, {"step": 1.0})
    assert tried == [400, 200, 100]


def test_a_batch_that_never_fits_raises_instead_of_looping(bench: ModuleType) -> None:
    def measured(batch: int) -> dict[str, float]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        bench.where_memory_allows(measured, 400)


@pytest.mark.parametrize("name", ["stgcn", "transformer"])
def test_every_column_is_measured(name: str, bench: ModuleType) -> None:
    arguments = argparse.Namespace(frames=8, repetitions=1, warmup=0, compile=False)
    row = bench.measure(name, "two-cores", 4, arguments, "fp32", torch.device("cpu"))
    for column in (
        "forward",
        "forward + backward",
        "step",
        "DataLoader",
        "usual script",
        "floor",
        "against usual script",
    ):
        assert row[column] > 0, column
    assert 0 <= row["outside"] < 1
