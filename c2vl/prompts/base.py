"""What all stages that make prompts share: the device, and an engine's description."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2vl.core import machine
from c2vl.prompts.engines.engine_params import EngineParams

if TYPE_CHECKING:
    import torch


def engine_device() -> torch.device:
    """Return the device of the engines; on a CPU they use `machine.engine_threads()` threads."""
    import torch

    torch.set_num_threads(machine.engine_threads())
    return machine.device()


def engine_description(name: str, params: EngineParams) -> dict[str, Any]:
    """Return an engine's part of a fingerprint: what its weights are, not where they are."""
    return {
        "adapter version": params.ADAPTER_VERSION,
        "weights": params.identity(),
        name: params.in_key(),
    }


def mean(total: float, count: int) -> float | None:
    """Return a rounded mean for metrics; None if there is nothing to average."""
    return round(total / count, 6) if count else None
