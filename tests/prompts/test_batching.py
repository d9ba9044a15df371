"""Batch sizes are measured, halved and kept for a machine; each process takes its own GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from c2vl.core import machine
from c2vl.core.errors import UserError
from c2vl.prompts.engines import batching
from c2vl.prompts.engines.batching import Batching, find_batch
from c2vl.prompts.engines.model_inputs import group_by_shape, to_batch

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("C2VL_HOME", str(tmp_path))
    return tmp_path


class Engine:
    """Doubles numbers, at most `room` at once.

    On its clock a call takes `overhead` and 1 for each item.
    """

    def __init__(self, room: int, overhead: float = 10.0) -> None:
        self.room, self.overhead, self.now = room, overhead, 0.0
        self.calls: list[int] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.calls.append(len(items))
        if len(items) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        self.now += self.overhead + len(items)
        return [2 * item for item in items]

    def clock(self) -> float:
        return self.now


def of(device: str) -> Batching:
    return Batching("detector", "key", torch.device(device), fixed=16, largest=64)


def test_out_of_memory_halves_the_batch_and_no_item_is_lost_or_computed_twice() -> None:
    engine, runner = Engine(room=5), of("cpu")
    assert runner.run(list(range(23)), engine) == [2 * item for item in range(23)]
    assert engine.calls == [23, 11, 5, 5, 5, 5, 3]  # the size that fits is kept
    assert runner.run([1, 2, 3, 4, 5, 6], engine) == [2, 4, 6, 8, 10, 12]
    assert engine.calls[-2:] == [5, 1]


def test_one_item_that_does_not_fit_is_one_sentence() -> None:
    with pytest.raises(UserError, match="even with one item at a time"):
        of("cpu").run([1, 2], Engine(room=0))


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "MPS backend out of memory (MPS allocated: 17.9 GB)",
        "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: "
        "can't allocate memory: you tried to allocate 9",
    ],
)
def test_any_out_of_memory_error_halves_the_batch(message: str) -> None:
    def crowded(items: Sequence[int]) -> list[int]:
        if len(items) > 2:
            raise RuntimeError(message)
        return list(items)

    assert of("cpu").run([1, 2, 3, 4, 5], crowded) == [1, 2, 3, 4, 5]


def test_other_errors_of_the_engine_pass_through() -> None:
    def broken(items: Sequence[int]) -> list[int]:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        of("cpu").run([1, 2], broken)


@pytest.mark.parametrize(
    ("room", "overhead", "found"),
    [
        (1000, 1000.0, 64),  # the call's own cost dominates: as large as is allowed
        (40, 1000.0, 32),  # memory ends
        (1000, 0.0, 4),  # nothing to gain
        (3, 1000.0, 2),  # not even the first size fits
        (1000, 10.0, 64),  # 64 / 74 against 32 / 42 an item: still 13 % quicker
    ],
)
def test_the_batch_doubles_until_memory_or_the_gain_ends(
    room: int, overhead: float, found: int
) -> None:
    engine = Engine(room, overhead)
    assert find_batch(lambda count: engine(range(count)), 64, clock=engine.clock) == found


def test_a_batch_is_measured_once_for_each_gpu_and_engine_and_never_on_a_cpu(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def forward(count: int) -> None:
        asked.append(count)

    assert of("cpu").size(forward) == 16
    assert not asked and not (home / "machine.json").exists()
    monkeypatch.setattr(batching, "device_name", lambda device: "A card, 24 GiB")
    monkeypatch.setattr(batching, "find_batch", lambda run, largest, engine: run(48) or 48)
    assert of("meta").size(forward) == 48
    assert of("meta").size(lambda count: pytest.fail("measured again")) == 48
    monkeypatch.setattr(batching, "device_name", lambda device: "Another card, 8 GiB")
    of("meta").size(forward)
    assert asked == [48, 48]
    of("meta").run(
        list(range(32)), Engine(room=20)
    )  # what did not fit is not tried again in the next run
    assert of("meta").size(lambda count: pytest.fail("measured again")) == 16


def test_a_damaged_machine_file_is_ignored(home: Path) -> None:
    for content in ("", "{", "[1]", '{"batch": 3}', '{"batch": {"name": "many"}}'):
        (home / "machine.json").write_text(content)
        assert batching.known_batch("name") is None
    batching.keep_batch("name", 8)
    batching.keep_batch("other", 4)
    assert (batching.known_batch("name"), batching.known_batch("other")) == (8, 4)


def test_the_environment_sets_the_batch_without_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured() -> int:
        raise AssertionError("measured")

    monkeypatch.setenv("C2VL_BATCH_CROP", "7")
    assert machine.batch_size("crop", measured) == 7
    monkeypatch.delenv("C2VL_BATCH_CROP")
    assert machine.batch_size("crop", lambda: 5) == machine.batch_size("crop", 5) == 5


@pytest.mark.parametrize(
    ("environment", "gpus", "taken"),
    [
        ({}, 8, "cuda:0"),
        ({"LOCAL_RANK": "3"}, 8, "cuda:3"),  # accelerate launch, torchrun
        ({"SLURM_LOCALID": "2"}, 8, "cuda:2"),  # srun, every task sees all
        ({}, 1, "cuda:0"),  # as the device of a tensor on it
        ({"SLURM_LOCALID": "2"}, 1, "cuda:0"),  # srun --gpus-per-task=1: each sees its own
        ({"LOCAL_RANK": "5"}, 4, "cuda:1"),
        ({"LOCAL_RANK": "3", "C2VL_DEVICE": "cuda:7"}, 8, "cuda:7"),  # the variable wins
        ({"LOCAL_RANK": "3", "C2VL_DEVICE": "cpu"}, 8, "cpu"),
    ],
)
def test_each_process_of_a_machine_takes_its_own_gpu(
    environment: dict[str, str], gpus: int, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOCAL_RANK", "SLURM_LOCALID", "C2VL_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    empty: Callable[..., object] = lambda size, device: device  # noqa: E731
    monkeypatch.setattr(torch, "empty", empty)
    assert machine.device() == torch.device(taken)


def test_items_of_equal_shapes_share_a_batch_and_keep_their_order() -> None:
    short = {"ids": torch.zeros(1, 3), "pixels": torch.zeros(1, 2, 2)}
    long = {"ids": torch.ones(1, 4), "pixels": torch.zeros(1, 2, 2)}
    assert group_by_shape([short, long, short, long, short]) == [[0, 2, 4], [1, 3]]
    batch = to_batch([long, long], torch.device("cpu"))
    assert batch["ids"].shape == (2, 4) and batch["pixels"].shape == (2, 2, 2)


@pytest.mark.parametrize(
    ("quota", "few"),
    [
        ("max 100000", False),
        ("100000 100000", True),
        ("20000 100000", True),
        ("", False),
        (None, False),
    ],
)
def test_a_containers_quota_limits_the_workers(
    quota: str | None, few: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("C2VL_WORKERS", raising=False)
    monkeypatch.setattr(
        machine.os, "sched_getaffinity", lambda process: set(range(64)), raising=False
    )
    monkeypatch.setattr(machine, "QUOTA", tmp_path / "cpu.max")
    if quota is not None:
        (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert machine.workers() == (1 if few else 64)


def test_the_processes_of_a_machine_divide_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2VL_WORKERS", "8")
    for processes, each in (("1", 8), ("4", 2), ("16", 1)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
        assert machine.workers_each() == each


def test_a_gpu_that_does_not_answer_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(device: str) -> None:
        asked.append(device)
        if len(asked) > 1:
            raise RuntimeError("CUDA error: an illegal memory access\nwas encountered")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "synchronize", answer)
    monkeypatch.setenv("C2VL_DEVICE", "cuda")
    monkeypatch.setenv("LOCAL_RANK", "6")
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    assert machine.lost_device() is None and asked == []  # asking would begin to use one
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert machine.lost_device() is None
    assert machine.lost_device() == "CUDA error: an illegal memory access was encountered"
    assert asked == ["cuda:2", "cuda:2"]
    monkeypatch.setenv("C2VL_DEVICE", "cpu")
    assert machine.lost_device() is None
