"""ST-GCN (Yan et al., AAAI 2018), laid out for speed.

Activations are kept as (V, C, N, T) in channels-last memory, that is joints first and channels
innermost: the sum over neighbours is then one matrix product (3V, V) @ (V, N*T*C), and the temporal
convolution a 1x9 convolution over N x T "images", both without a copy. On 2 cores this trains 1.1
to 1.4 times as fast as the published (N, C, T, V) order; the function computed and its parameters
are the same. `stgcn_published.py` has what the public code does otherwise than the paper.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from c2vl.models.encoders.depth import block_plan
from c2vl.models.encoders.persons import Persons, mean_over_persons, padded_slots, present_slots
from c2vl.models.graph import NTU25, SkeletonGraph

TEMPORAL_KERNEL = 9


class GraphConvolution(nn.Module):
    """Sum of (importance * adjacency) x W_k + b_k over the K subsets of neighbours.

    (V, C, N, T) to (V, C', N, T).
    """

    partition: Tensor

    def __init__(self, channels: int, out_channels: int, graph: SkeletonGraph) -> None:
        super().__init__()
        partition = torch.from_numpy(graph.spatial_partition())  # (K, V, V): from joint, to joint
        self.register_buffer("partition", partition, persistent=False)
        self.importance = nn.Parameter(torch.ones_like(partition))
        bound = channels**-0.5  # as nn.Conv2d with a 1x1 kernel
        self.weight = nn.Parameter(
            torch.empty(len(partition), channels, out_channels).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(torch.empty(len(partition), out_channels).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        joints, channels, clips, frames = x.shape
        subsets, _, out_channels = self.weight.shape
        adjacency = (self.partition * self.importance).transpose(
            1, 2
        )  # (K, V, V): to joint, from joint
        x = x.permute(0, 2, 3, 1).reshape(joints, -1)  # (V, N*T*C), a view in channels-last memory
        x = (adjacency.reshape(-1, joints) @ x).view(subsets, -1, channels)  # (K, V*N*T, C)
        x = torch.addbmm(
            x.new_zeros(()), x, self.weight, beta=0
        )  # sum over K without the K summands in memory
        x = x.view(joints, clips, frames, out_channels)
        bias = torch.einsum("kwv,kc->wc", adjacency, self.bias)
        return (x + bias[:, None, None, :]).permute(0, 3, 1, 2)


class Shortcut(nn.Module):
    """1x1 convolution with a stride in time, normalised; (V, C, N, T) to (V, C', N, T').

    As a linear layer, because oneDNN (torch 2.13, CPU) corrupts memory in the strided 1x1
    convolution of 8 channels.
    """

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.linear = nn.Linear(channels, out_channels)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x[..., :: self.stride].permute(0, 2, 3, 1)  # (V, N, T', C)
        y: Tensor = self.norm(self.linear(x).permute(0, 3, 1, 2))
        return y


class Block(nn.Module):
    """Graph convolution, then a temporal convolution over 9 frames, around a residual.

    (V, C, N, T) to (V, C', N, T').
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        graph: SkeletonGraph,
        stride: int,
        dropout: float,
        residual: bool,
    ) -> None:
        super().__init__()
        self.graph = GraphConvolution(channels, out_channels, graph)
        self.graph_norm = nn.BatchNorm2d(out_channels)
        padding = (TEMPORAL_KERNEL - 1) // 2
        self.temporal = nn.Conv2d(
            out_channels, out_channels, (1, TEMPORAL_KERNEL), (1, stride), (0, padding)
        )
        self.temporal_norm = nn.BatchNorm2d(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.residual: nn.Module | None = None
        if residual and channels == out_channels and stride == 1:
            self.residual = nn.Identity()
        elif residual:
            self.residual = Shortcut(channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.graph_norm(self.graph(x)).relu_()
        y = self.dropout(self.temporal_norm(self.temporal(y)))
        return (y if self.residual is None else y + self.residual(x)).relu_()


class STGCN(nn.Module):
    """Encode clips (B, C, T, V, M) into features (B, 4 * width).

    The mean over time, joints and persons.

    Args:
        graph: the skeleton.
        in_channels: C, coordinates per joint.
        width: channels of the first stage; 64 is published, 16 is AimCLR's (whose last block has
            256 channels: `PublishedSTGCN`).
        blocks: depth, 3 to 10 (published), see `stage_sizes`.
        dropout: after every temporal convolution but the first block's.
        persons: see `mean_over_persons`; with `present` a one-person clip costs half.
    """

    def __init__(
        self,
        graph: SkeletonGraph = NTU25,
        in_channels: int = 3,
        width: int = 64,
        blocks: int = 10,
        dropout: float = 0.0,
        persons: Persons = "padded",
    ) -> None:
        super().__init__()
        self.persons: Persons = persons
        self.features = 4 * width
        self.joints, self.slots = graph.joints, graph.persons
        self.input_norm = nn.BatchNorm1d(graph.joints * in_channels)
        layers: list[Block] = []
        channels = in_channels
        for out_channels, stride in block_plan(blocks, width):
            first = not layers
            layers.append(
                Block(
                    channels,
                    out_channels,
                    graph,
                    stride,
                    0.0 if first else dropout,
                    residual=not first,
                )
            )
            channels = out_channels
        self.blocks = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        x = padded_slots(x, self.joints, self.slots)
        bodies = x.permute(0, 4, 2, 3, 1)  # (B, M, T, V, C)
        return mean_over_persons(bodies, present_slots(x), self.persons, self._encode)

    def _encode(self, x: Tensor) -> Tensor:
        """(N, T, V, C), one person a row, to (N, 4 * width)."""
        persons, frames, joints, channels = x.shape
        x = self.input_norm(x.reshape(persons * frames, -1)).view(persons, frames, joints, channels)
        x = (
            x.permute(2, 0, 1, 3).contiguous().permute(0, 3, 1, 2)
        )  # (V, C, N, T), channels innermost
        return self.blocks(x).mean((0, 3)).t()
