"""A network's weights as bytes: safetensors, no pickle."""

from __future__ import annotations

import torch
from safetensors.torch import load, save
from torch import nn


def weights_of(network: nn.Module) -> bytes:
    """A network's weights and buffers as safetensors."""
    state = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    return save(state)


def with_weights(network: nn.Module, weights: bytes, device: torch.device) -> nn.Module:
    """The network with the weights of `weights_of`, on `device`."""
    network.load_state_dict(load(weights))
    return network.to(device)
