"""1x1 convolutions, which on a CPU are computed as matrix products.

oneDNN (torch 2.13) takes several times as long for them as a batched product where channels are
few, and a little longer where they are many. Parameters and function are those of torch's own
layers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PointwiseConv1d(nn.Conv1d):
    """`nn.Conv1d` with a kernel of 1 and no stride; (N, C, V) to (N, C', V)."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return _product(self.weight, self.bias, x) if as_product(x) else super().forward(x)


class PointwiseConv2d(nn.Conv2d):
    """`nn.Conv2d` with a kernel of 1 and no stride; (N, C, V, T) to (N, C', V, T)."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return _product(self.weight, self.bias, x) if as_product(x) else super().forward(x)


def as_product(x: Tensor) -> bool:
    """Whether a product takes the convolution's place."""
    return (
        x.device.type == "cpu" and not torch.compiler.is_exporting()
    )  # an exported graph has plain convolutions


def _product(weight: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    assert bias is not None
    y = torch.baddbmm(bias[:, None], weight.flatten(1).expand(len(x), -1, -1), x.flatten(2))
    return y.unflatten(2, x.shape[2:])
