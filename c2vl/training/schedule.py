"""Order and number of batches, the learning rate over the epochs, the optimiser of the paper."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from c2vl.training.training_params import PretrainParams

DECAY = 0.1  # of the rate at every milestone


def shuffled(rows: Tensor, generator: torch.Generator) -> Tensor:
    """The rows (N,) in an epoch's random order."""
    return rows[torch.randperm(len(rows), generator=generator).to(rows.device)]


def steps_an_epoch(clips: int, batch: int) -> int:
    """How many whole batches an epoch has.

    An incomplete last batch is left out, because the loss depends on the batch's size; its clips
    come in other epochs. Fewer clips than a batch make one batch.
    """
    return max(1, clips // batch)


def rate_at(epoch: int, step: int, steps: int, params: PretrainParams) -> float:
    """Rate of a step (both from 0): linear warm-up over the steps, then ×0.1 after a milestone."""
    done = epoch * steps + step + 1
    warmup = params.warmup_epochs * steps
    if done < warmup:
        return params.learning_rate * done / warmup
    return params.learning_rate * DECAY ** sum(
        epoch >= milestone for milestone in params.milestones
    )


def sgd(
    network: nn.Module, params: PretrainParams, extra: list[dict[str, object]] | None = None
) -> torch.optim.SGD:
    """The paper's optimiser over the network's parameters.

    `extra` are parameter groups with settings of their own. Only groups without a `fixed_rate`
    follow the schedule of `set_rate`.
    """
    nesterov = params.nesterov and params.momentum > 0
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups: list[dict[str, object]] = [
        {"params": trained, "weight_decay": params.weight_decay},
        *(extra or []),
    ]
    return torch.optim.SGD(
        groups, lr=params.learning_rate, momentum=params.momentum, nesterov=nesterov, fused=True
    )


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every scheduled parameter group the rate."""
    for group in optimiser.param_groups:
        if not group.get("fixed_rate", False):
            group["lr"] = rate
