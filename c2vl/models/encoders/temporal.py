"""The multi-scale temporal convolution of CTR-GCN and MS-G3D (Liu et al., CVPR 2020, 4.2).

Activations are (N, C, V, T): bodies, channels, joints, frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from c2vl.models.encoders.pointwise import PointwiseConv2d


class Pointwise(nn.Sequential):
    """1x1 convolution with BatchNorm and a stride in time; (N, C, V, T) to (N, C', V, T').

    Frames are left out before the convolution: the function is that of a strided one, which oneDNN
    (torch 2.13, CPU) computes wrongly for few channels in some memory layouts.
    """

    def __init__(self, channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__(PointwiseConv2d(channels, out_channels), nn.BatchNorm2d(out_channels))
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = super().forward(x[..., :: self.stride] if self.stride > 1 else x)
        return y


class MultiScaleTemporal(nn.Module):
    """Branches side by side: a convolution a dilation, a max-pool over 3 frames, a plain 1x1.

    Each branch has an equal share of the output channels; the first two kinds are reduced to theirs
    by 1x1 convolutions (here one for all of them). (N, C, V, T) to (N, C', V, T'), T' = ceil(T /
    stride).

    Args:
        channels: C.
        out_channels: C', a multiple of the number of branches.
        kernel: frames of the dilated convolutions.
        dilations: one branch each.
        stride: in time.
        residual: add the input (through a 1x1 convolution where the shape changes).
        activate: end with a ReLU.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        kernel: int,
        dilations: Sequence[int],
        stride: int = 1,
        residual: bool = True,
        activate: bool = True,
    ) -> None:
        super().__init__()
        branches = len(dilations) + 2
        self.width, remainder = divmod(out_channels, branches)
        if remainder:
            raise ValueError(
                f"the width has to be a multiple of {branches}, one share a temporal branch"
            )
        self.reduce = nn.Sequential(
            PointwiseConv2d(channels, (branches - 1) * self.width),
            nn.BatchNorm2d((branches - 1) * self.width),
            nn.ReLU(),
        )
        self.dilated = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(
                    self.width,
                    self.width,
                    (1, kernel),
                    (1, stride),
                    (0, dilation * (kernel - 1) // 2),
                    (1, dilation),
                ),
                nn.BatchNorm2d(self.width),
            )
            for dilation in dilations
        )
        self.pool = nn.Sequential(
            nn.MaxPool2d((1, 3), (1, stride), (0, 1)), nn.BatchNorm2d(self.width)
        )
        self.plain = Pointwise(channels, self.width, stride)
        self.shortcut: nn.Module | None = None
        if residual:
            same = channels == out_channels and stride == 1
            self.shortcut = nn.Identity() if same else Pointwise(channels, out_channels, stride)
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        *shares, last = self.reduce(x).split(self.width, dim=1)
        branches = [branch(share) for branch, share in zip(self.dilated, shares, strict=True)]
        y = torch.cat([*branches, self.pool(last), self.plain(x)], dim=1)
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        return y.relu() if self.activate else y
