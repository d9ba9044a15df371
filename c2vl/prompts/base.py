"""What the stages that make prompts have in common: threads that read ahead of one engine on one device."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from c2vl.core import machine
from c2vl.core.workers import step_back
from c2vl.prompts.engines.engine_params import EngineParams

if TYPE_CHECKING:
    import torch

MOST_THREADS = 8  # that decode; they feed one engine


def engine_device() -> torch.device:
    """The device engines run on; on a CPU they use the cores this machine's settings allow."""
    import torch

    torch.set_num_threads(machine.workers_each())
    return machine.device()


def told(name: str, params: EngineParams) -> dict[str, Any]:
    """An engine's part of a fingerprint's description: where its weights lie is not in it, what they are is."""
    parameters = params.model_dump(mode="json", exclude={"model", "revision"})
    return {
        "adapter version": params.ADAPTER_VERSION,
        "weights": params.identity(),
        name: parameters,
    }


def reading_threads() -> Executor:
    """Threads for reading ahead; OpenCV and decord let go of the interpreter while they decode."""
    return ThreadPoolExecutor(min(machine.workers_each(), MOST_THREADS), "read", step_back)


def mean(total: float, count: int) -> float | None:
    """A mean for metrics, rounded; None where there is nothing to average."""
    return round(total / count, 6) if count else None
