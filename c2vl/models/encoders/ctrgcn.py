"""CTR-GCN (Chen et al., "Channel-wise Topology Refinement Graph Convolution", ICCV 2021).

Each channel has a graph of its own: the shared, learnt one of a neighbour subset plus alpha times a
refinement that is inferred from the clip (their Eq. 6-8; initialisation as in
github.com/Uason-Chen/CTR-GCN). Activations are (N, C, V, T). Features are averaged over time before
they are embedded to be compared, not after: the same result for less.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from c2vl.models.encoders.depth import block_plan
from c2vl.models.encoders.persons import (
    PersonNorm,
    Persons,
    mean_over_persons,
    padded_slots,
    present_slots,
)
from c2vl.models.encoders.pointwise import PointwiseConv1d, PointwiseConv2d
from c2vl.models.encoders.temporal import MultiScaleTemporal, Pointwise
from c2vl.models.graph import NTU25, SkeletonGraph

TEMPORAL_KERNEL, DILATIONS = 5, (1, 2)
REDUCTION = 8  # of channels in the space where joints are compared
INPUT_RELATIONS = 8  # channels of that space in the first block, whose input has three


class RefinedTopology(nn.Module):
    """The graph of one subset for each clip and channel, (N, C', V, V), to joint by from joint.

    It is shared + alpha * refinement.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        relations = INPUT_RELATIONS if channels <= 3 else max(1, channels // REDUCTION)
        self.to_joint = PointwiseConv1d(channels, relations)
        self.from_joint = PointwiseConv1d(channels, relations)
        self.refine = PointwiseConv1d(relations, out_channels)

    def forward(self, pooled: Tensor, shared: Tensor, alpha: Tensor) -> Tensor:
        """`pooled` (N, C, V) is the mean over time, `shared` (V, V), `alpha` (1,)."""
        difference = (
            (self.to_joint(pooled)[..., None] - self.from_joint(pooled)[:, :, None])
            .tanh()
            .flatten(2)
        )
        weight, bias = alpha * self.refine.weight[..., 0], alpha * self.refine.bias  # type: ignore[operator]
        clips = pooled.shape[0]
        constant = (shared.flatten() + bias[:, None]).expand(
            clips, -1, -1
        )  # the sum in one pass over the largest tensor
        return torch.baddbmm(constant, weight.expand(clips, -1, -1), difference).unflatten(
            2, shared.shape
        )


class ChannelwiseGraphConvolution(nn.Module):
    """Sum of graph x W x over the subsets, normalised, around a residual.

    (N, C, V, T) to (N, C', V, T).
    """

    def __init__(self, channels: int, out_channels: int, graph: SkeletonGraph) -> None:
        super().__init__()
        adjacency = torch.from_numpy(graph.directed_partition())  # (K, V, V): to joint, from joint
        self.adjacency = nn.Parameter(adjacency)
        self.alpha = nn.Parameter(torch.zeros(1))
        self.topologies = nn.ModuleList(RefinedTopology(channels, out_channels) for _ in adjacency)
        self.values = nn.ModuleList(PointwiseConv2d(channels, out_channels) for _ in adjacency)
        self.norm = nn.BatchNorm2d(out_channels)
        self.shortcut = (
            nn.Identity() if channels == out_channels else Pointwise(channels, out_channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean(3)
        y: Tensor | None = None
        for shared, topology, value in zip(
            self.adjacency, self.topologies, self.values, strict=True
        ):
            graph, features = (
                topology(pooled, shared, self.alpha).flatten(0, 1),
                value(x).flatten(0, 1),
            )
            y = (
                torch.bmm(graph, features) if y is None else torch.baddbmm(y, graph, features)
            )  # (N*C', V, T)
        assert y is not None
        return (self.norm(y.unflatten(0, (x.shape[0], -1))) + self.shortcut(x)).relu()


class Block(nn.Module):
    """Graph convolution, then multi-scale temporal convolution, around a residual.

    (N, C, V, T) to (N, C', V, T').
    """

    def __init__(
        self, channels: int, out_channels: int, graph: SkeletonGraph, stride: int, residual: bool
    ) -> None:
        super().__init__()
        self.graph = ChannelwiseGraphConvolution(channels, out_channels, graph)
        self.temporal = MultiScaleTemporal(
            out_channels,
            out_channels,
            TEMPORAL_KERNEL,
            DILATIONS,
            stride,
            residual=False,
            activate=False,
        )
        self.shortcut: nn.Module | None = None
        if residual:
            same = channels == out_channels and stride == 1
            self.shortcut = nn.Identity() if same else Pointwise(channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.temporal(self.graph(x))
        return (y if self.shortcut is None else y + self.shortcut(x)).relu()


class CTRGCN(nn.Module):
    """Encode clips (B, C, T, V, M) into features (B, 4 * width).

    The mean over time, joints and persons.

    Args:
        graph: the skeleton.
        in_channels: C, coordinates per joint.
        width: channels of the first stage, a multiple of 4; 64 is published.
        blocks: depth, 3 to 10 (published), see `stage_sizes`.
        persons: see `mean_over_persons`.
    """

    def __init__(
        self,
        graph: SkeletonGraph = NTU25,
        in_channels: int = 3,
        width: int = 64,
        blocks: int = 10,
        persons: Persons = "padded",
    ) -> None:
        super().__init__()
        self.persons: Persons = persons
        self.features = 4 * width
        self.input_norm = PersonNorm(graph.joints, in_channels, graph.persons)
        layers: list[Block] = []
        channels = in_channels
        for out_channels, stride in block_plan(blocks, width):
            layers.append(Block(channels, out_channels, graph, stride, residual=bool(layers)))
            channels = out_channels
        self.blocks = nn.Sequential(*layers)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        present = present_slots(padded_slots(x, self.input_norm.joints, self.input_norm.slots))
        return mean_over_persons(
            self.input_norm(x),
            present,
            self.persons,
            lambda bodies: self.blocks(bodies).mean((2, 3)),
        )


def initialise(network: CTRGCN) -> None:
    """The published initial weights: He's by fan-out of each published layer, no bias.

    Graph convolutions are almost off.
    """

    def he(weight: Tensor, fan_out: int) -> None:
        nn.init.normal_(weight, std=(2 / fan_out) ** 0.5)

    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            he(module.weight, module.weight.shape[0] * module.weight[0, 0].numel())
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    for module in network.modules():
        if isinstance(module, ChannelwiseGraphConvolution):
            nn.init.constant_(module.norm.weight, 1e-6)
        elif isinstance(module, MultiScaleTemporal):
            he(module.reduce[0].weight, module.width)  # type: ignore[arg-type]  # one layer for all branches
            for part in module.modules():
                if isinstance(part, nn.BatchNorm2d):
                    nn.init.normal_(part.weight, 1.0, 0.02)
