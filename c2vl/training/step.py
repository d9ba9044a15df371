"""The gradient of one optimiser step: in one pass or, to save memory, in two.

A contrastive loss needs all embeddings of a batch at once: the sum over small batches is another
loss. With `micro_batch`, gradient caching is used:

1. Compute the embeddings without keeping activations.
2. Compute the loss, and its gradient with respect to the embeddings.
3. Run each small batch again, and carry its part of that gradient to the weights.

Loss and targets are exactly those of the global batch. Only BatchNorm sees the small batch.

Source: Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup",
RepL4NLP 2021.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from c2vl.training.devices import Devices
from c2vl.training.task import Task
from c2vl.training.training_params import Precision

Inputs = tuple[Tensor, ...]


def backward(
    task: Task,
    network: nn.Module,
    devices: Devices,
    rows: Tensor,
    generator: torch.Generator,
    seed: int,
    precision: Precision = "fp32",
    micro_batch: int | None = None,
) -> Tensor:
    """Add the gradient of the batch `rows` (B,) to the parameters.

    Returns loss and diagnostics as one vector.

    Args:
        network: the task's, perhaps wrapped for several devices.
        generator: of the batch's random numbers, in the same state in every process.
        seed: of torch's global generator, which dropout draws from.
        micro_batch: clips that a device takes at once; None: its whole share.
    """
    inputs = task.inputs(rows, devices.share(len(rows)), generator)
    size = len(inputs[0])
    small = min(micro_batch or size, size)
    parts = [tuple(x[start : start + small] for x in inputs) for start in range(0, size, small)]
    seeds = [_seed(seed, devices.rank, part) for part in range(len(parts))]

    if len(parts) == 1:
        outputs, constants = _embed(task, network, devices, parts[0], seeds[0], precision)
    else:
        with torch.no_grad(), _statistics_left_alone(task.network):
            each = [
                _embed(task, task.network, devices, *part, precision)
                for part in zip(parts, seeds, strict=True)
            ]
        outputs = torch.cat([given for given, _ in each]).requires_grad_()
        constants = torch.cat([given for _, given in each])

    loss, diagnostics = task.loss(
        devices.gather(outputs), devices.gather(constants), rows, generator
    )
    loss.backward()  # the accelerator's would divide by the accumulation of a launcher's config
    if len(parts) > 1:
        assert outputs.grad is not None
        for number, (part, gradient) in enumerate(
            zip(parts, outputs.grad.split(small), strict=True)
        ):
            last = number == len(parts) - 1
            with contextlib.nullcontext() if last else devices.without_sync(network):
                _seed_dropout(seeds[number], devices.device)
                with devices.autocast(precision):
                    again = task.outputs(network, part)
                again.float().backward(gradient)
    return torch.cat([loss.detach()[None], diagnostics])


def _embed(
    task: Task,
    network: nn.Module,
    devices: Devices,
    inputs: Inputs,
    seed: int,
    precision: Precision,
) -> tuple[Tensor, Tensor]:
    _seed_dropout(seed, devices.device)
    with devices.autocast(precision):
        outputs = task.outputs(network, inputs)
        constants = task.constants(inputs, outputs)
    return outputs.float(), constants.float()


def _seed(seed: int, rank: int, part: int) -> int:
    return hash((seed, rank, part)) & (2**63 - 1)  # of integers: the same in every process and run


def _seed_dropout(seed: int, device: torch.device) -> None:
    """Do what `torch.manual_seed` does, for one device; that one is slow where no GPU is in use."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


@contextlib.contextmanager
def _statistics_left_alone(network: nn.Module) -> Iterator[None]:
    """In this block, BatchNorm normalises by the batch and keeps its running statistics."""
    norms = [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
