"""The optimiser that `optimiser` in params.yaml names."""

from __future__ import annotations

import torch
from torch import nn

from c2vl.training.schedule import sgd
from c2vl.training.training_params import PretrainParams

SECOND_BETA = 0.999


def make_optimiser(
    network: nn.Module, params: PretrainParams, extra: list[dict[str, object]] | None = None
) -> torch.optim.Optimizer:
    """SGD, the paper's, or AdamW over the network's parameters; `extra` as of `sgd`."""
    make = adamw if params.optimiser == "adamw" else sgd
    return make(network, params, extra)


def adamw(
    network: nn.Module, params: PretrainParams, extra: list[dict[str, object]] | None = None
) -> torch.optim.AdamW:
    """AdamW with β1 = `momentum` and β2 = 0.999; `extra` as of `sgd`.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups: list[dict[str, object]] = [
        {"params": trained, "weight_decay": params.weight_decay},
        *(extra or []),
    ]
    betas = (params.momentum, SECOND_BETA)
    return torch.optim.AdamW(groups, lr=params.learning_rate, betas=betas, fused=True)
