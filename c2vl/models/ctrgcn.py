"""CTR-GCN (Chen et al., "Channel-wise Topology Refinement Graph Convolution", ICCV 2021).

Each channel has a graph of its own: the shared, learnt one of a neighbour subset plus alpha times a refinement that is
inferred from the clip (their Eq. 6-8; initialisation as in github.com/Uason-Chen/CTR-GCN). Activations are (N, C, V, T).
Two things are done in another order than there, with the same result: features are averaged over time before they are
embedded, and the three subsets are computed at once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from c2vl.models.depth import block_plan
from c2vl.models.persons import PersonNorm, Persons, mean_over_persons, padded_slots, present_slots
from c2vl.models.temporal import MultiScaleTemporal, Pointwise
from c2vl.skeletons.graph import NTU25, SkeletonGraph

TEMPORAL_KERNEL, DILATIONS = 5, (1, 2)
REDUCTION = 8  # of channels in the space where joints are compared
INPUT_RELATIONS = 8  # channels of that space in the first block, whose input has three


class ChannelwiseGraphConvolution(nn.Module):
    """Sum over subsets k of (A_k + alpha * refinement_k) x W_k, around a residual; (N, C, V, T) to (N, C', V, T)."""

    def __init__(self, channels: int, out_channels: int, graph: SkeletonGraph) -> None:
        super().__init__()
        adjacency = torch.from_numpy(graph.directed_partition())  # (K, V, V): to joint, from joint
        self.subsets = len(adjacency)
        self.relations = INPUT_RELATIONS if channels <= 3 else max(1, channels // REDUCTION)
        self.adjacency = nn.Parameter(adjacency)
        self.alpha = nn.Parameter(torch.zeros(1))
        self.to_joint = nn.Linear(channels, self.subsets * self.relations)
        self.from_joint = nn.Linear(channels, self.subsets * self.relations)
        self.refine = nn.Parameter(torch.empty(self.subsets, out_channels, self.relations))
        self.refine_bias = nn.Parameter(torch.zeros(self.subsets, out_channels))
        self.value = nn.Conv2d(channels, self.subsets * out_channels, 1)
        self.norm = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Identity() if channels == out_channels else Pointwise(channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        value = self.value(x).unflatten(1, (self.subsets, -1))  # (N, K, C', V, T)
        y = torch.einsum("nkcuv,nkcvt->ncut", self.topology(x), value)
        return (self.norm(y) + self.shortcut(x)).relu()

    def topology(self, x: Tensor) -> Tensor:
        """The graph of each clip, subset and channel: (N, K, C', to joint, from joint)."""
        pooled = x.mean(3).transpose(1, 2)  # (N, V, C)
        to = self.to_joint(pooled).unflatten(2, (self.subsets, -1))  # (N, V, K, R)
        origin = self.from_joint(pooled).unflatten(2, (self.subsets, -1))
        difference = (to[:, :, None] - origin[:, None]).tanh()  # (N, to, from, K, R)
        refinement = torch.einsum("nuvkr,kcr->nkcuv", difference, self.refine) + self.refine_bias[..., None, None]
        return self.alpha * refinement + self.adjacency[:, None]


class Block(nn.Module):
    """Graph convolution, then multi-scale temporal convolution, around a residual; (N, C, V, T) to (N, C', V, T')."""

    def __init__(self, channels: int, out_channels: int, graph: SkeletonGraph, stride: int, residual: bool) -> None:
        super().__init__()
        self.graph = ChannelwiseGraphConvolution(channels, out_channels, graph)
        self.temporal = MultiScaleTemporal(
            out_channels, out_channels, TEMPORAL_KERNEL, DILATIONS, stride, residual=False, activate=False
        )
        self.shortcut: nn.Module | None = None
        if residual:
            same = channels == out_channels and stride == 1
            self.shortcut = nn.Identity() if same else Pointwise(channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.temporal(self.graph(x))
        return (y if self.shortcut is None else y + self.shortcut(x)).relu()


class CTRGCN(nn.Module):
    """Encode clips (B, C, T, V, M) into features (B, 4 * width): mean over time, joints and persons.

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
        self.input_norm = PersonNorm(graph.joints, in_channels)
        layers: list[Block] = []
        channels = in_channels
        for out_channels, stride in block_plan(blocks, width):
            layers.append(Block(channels, out_channels, graph, stride, residual=bool(layers)))
            channels = out_channels
        self.blocks = nn.Sequential(*layers)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        present = present_slots(padded_slots(x))
        return mean_over_persons(self.input_norm(x), present, self.persons, lambda bodies: self.blocks(bodies).mean((2, 3)))


def initialise(network: CTRGCN) -> None:
    """The published initial weights: He's by fan-out of each published layer, no bias, graph convolutions almost off."""

    def he(weight: Tensor, fan_out: int) -> None:
        nn.init.normal_(weight, std=(2 / fan_out) ** 0.5)

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            he(module.weight, module.weight.shape[0] * module.weight[0, 0].numel())
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    for module in network.modules():
        if isinstance(module, ChannelwiseGraphConvolution):  # its layers stand for one a subset
            for layer in (module.to_joint, module.from_joint, module.value):
                he(layer.weight, layer.weight.shape[0] // module.subsets)
            he(module.refine, module.refine.shape[1])
            nn.init.constant_(module.norm.weight, 1e-6)
        elif isinstance(module, MultiScaleTemporal):  # `reduce` stands for one a branch
            he(module.reduce[0].weight, module.width)  # type: ignore[arg-type]
            for part in module.modules():
                if isinstance(part, nn.BatchNorm2d):
                    nn.init.normal_(part.weight, 1.0, 0.02)
