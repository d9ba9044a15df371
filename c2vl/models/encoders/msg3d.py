"""MS-G3D (Liu et al., "Disentangling and Unifying Graph Convolutions", CVPR 2020).

Pathways and scales are the published ones.

Each stage sums a factorised pathway (joints at 13 hop distances, then time) and two unified ones
(joints at 6 hop distances across windows of 3 and 5 frames). Activations are (N, C, V, T). A
window's graph convolution is a convolution over time whose channels are joints, which is how it is
computed here: the windows are never unfolded, and channels are mixed once a frame instead of once a
window. The function is that of github.com/kenziyuliu/MS-G3D.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d

from c2vl.models.encoders.persons import (
    PersonNorm,
    Persons,
    mean_over_persons,
    padded_slots,
    present_slots,
)
from c2vl.models.encoders.pointwise import PointwiseConv2d
from c2vl.models.encoders.temporal import MultiScaleTemporal
from c2vl.models.graph import NTU25, SkeletonGraph

TEMPORAL_KERNEL, DILATIONS = 3, (1, 2, 3, 4)
SPATIAL_SCALES, WINDOW_SCALES = 13, 6
WINDOWS = (3, 5)
STAGES = 3


class DisentangledGraphConvolution(nn.Module):
    """Multi-scale aggregation over windows of frames, then a 1x1 convolution.

    (N, C, V, T) to (N, C', W, V, T').

    Scale k joins joints that are exactly k hops apart, in whichever frames of the window, and each
    joint with itself (k-adjacency, their Eq. 5 and 7), plus a learnt residual mask.

    Args:
        channels: C.
        out_channels: C'.
        graph: the skeleton.
        scales: hop distances 0 ... scales - 1.
        window: W, frames of a window; 1 is the plain multi-scale graph convolution.
        stride: between windows, in frames; T' = ceil(T / stride).
    """

    adjacency: Tensor

    def __init__(
        self,
        channels: int,
        out_channels: int,
        graph: SkeletonGraph,
        scales: int,
        window: int = 1,
        stride: int = 1,
    ) -> None:
        super().__init__()
        adjacency = torch.from_numpy(
            k_adjacencies(graph, scales, window)
        )  # (K, W*V, W*V): to, from
        self.register_buffer("adjacency", adjacency, persistent=False)
        self.residual = nn.Parameter(torch.empty_like(adjacency).uniform_(-1e-6, 1e-6))
        bound = (channels * scales) ** -0.5  # as nn.Conv2d with a 1x1 kernel
        self.weight = nn.Parameter(
            torch.empty(out_channels, scales, channels).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound))
        self.norm = nn.BatchNorm2d(out_channels)
        self.joints, self.window, self.stride = graph.joints, window, stride

    def forward(self, x: Tensor) -> Tensor:
        bodies, channels, joints, frames = x.shape
        out_channels, scales, _ = self.weight.shape
        shape = (scales, self.window, joints, self.window, joints)
        adjacency = (self.adjacency + self.residual).to(x.dtype).view(shape)
        wide = self.window * joints
        if channels < out_channels:  # whichever order moves fewer channels through the graph
            kernel = adjacency.permute(0, 1, 2, 4, 3).reshape(scales * wide, joints, self.window)
            y = self._over_time(x.reshape(bodies * channels, joints, frames), kernel)
            y = torch.einsum(
                "nckvt,okc->novt", y.view(bodies, channels, scales, wide, -1), self.weight
            )
        else:
            mixed = torch.einsum("ncvt,okc->nokvt", x, self.weight)
            kernel = adjacency.permute(1, 2, 0, 4, 3).reshape(wide, scales * joints, self.window)
            y = self._over_time(
                mixed.reshape(bodies * out_channels, scales * joints, frames), kernel
            )
            y = y.view(bodies, out_channels, wide, -1)
        y = self.norm(y + self.bias[:, None, None]).relu()
        return y.unflatten(2, (self.window, joints))

    def _over_time(self, x: Tensor, kernel: Tensor) -> Tensor:
        return conv1d(x, kernel, stride=self.stride, padding=self.window // 2)


class WindowPathway(nn.Module):
    """G3D: disentangled aggregation over windows of W frames, each collapsed to one.

    (N, C, V, T) to (N, C', V, T').
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        graph: SkeletonGraph,
        scales: int,
        window: int,
        stride: int,
        first: bool,
    ) -> None:
        super().__init__()
        inner = (
            out_channels if first else channels
        )  # the first block widens at once, the others where they collapse
        self.graph = DisentangledGraphConvolution(channels, inner, graph, scales, window, stride)
        self.collapse = PointwiseConv2d(inner * window, out_channels)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.collapse(self.graph(x).flatten(1, 2)))
        return y


class Stage(nn.Module):
    """Factorised and windowed pathways, summed, then a temporal convolution.

    (N, C, V, T) to (N, C', V, T').
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        graph: SkeletonGraph,
        spatial_scales: int,
        window_scales: int,
        first: bool,
    ) -> None:
        super().__init__()
        stride, inner = (1, out_channels) if first else (2, channels)
        self.graph = DisentangledGraphConvolution(channels, inner, graph, spatial_scales)
        self.time = nn.Sequential(
            MultiScaleTemporal(inner, out_channels, TEMPORAL_KERNEL, DILATIONS, stride),
            MultiScaleTemporal(
                out_channels, out_channels, TEMPORAL_KERNEL, DILATIONS, activate=False
            ),
        )
        self.windows = nn.ModuleList(
            WindowPathway(channels, out_channels, graph, window_scales, window, stride, first)
            for window in WINDOWS
        )
        self.after = MultiScaleTemporal(out_channels, out_channels, TEMPORAL_KERNEL, DILATIONS)

    def forward(self, x: Tensor) -> Tensor:
        y = self.time(self.graph(x).squeeze(2))
        for pathway in self.windows:
            y = y + pathway(x)
        return self.after(y.relu())


class MSG3D(nn.Module):
    """Encode clips (B, C, T, V, M) into features (B, width * 2 ** (blocks - 1)).

    The mean over time, joints and persons.

    Args:
        graph: the skeleton.
        in_channels: C, coordinates per joint.
        width: channels of the first stage, a multiple of 6; 96 is published.
        blocks: stages, 1 to 3 (published).
        spatial_scales, window_scales: hop distances of the factorised and of the windowed pathways;
            13 and 6 are published.
        persons: see `mean_over_persons`.
    """

    def __init__(
        self,
        graph: SkeletonGraph = NTU25,
        in_channels: int = 3,
        width: int = 96,
        blocks: int = STAGES,
        spatial_scales: int = SPATIAL_SCALES,
        window_scales: int = WINDOW_SCALES,
        persons: Persons = "padded",
    ) -> None:
        super().__init__()
        self.persons: Persons = persons
        self.features = width << (blocks - 1)
        self.input_norm = PersonNorm(graph.joints, in_channels, graph.persons)
        channels = [in_channels, *(width << stage for stage in range(blocks))]
        self.stages = nn.Sequential(
            *(
                Stage(
                    channels[stage],
                    channels[stage + 1],
                    graph,
                    spatial_scales,
                    window_scales,
                    first=stage == 0,
                )
                for stage in range(blocks)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        present = present_slots(padded_slots(x, self.input_norm.joints, self.input_norm.slots))
        return mean_over_persons(
            self.input_norm(x),
            present,
            self.persons,
            lambda bodies: self.stages(bodies).mean((2, 3)),
        )


def k_adjacencies(graph: SkeletonGraph, scales: int, window: int = 1) -> np.ndarray:
    """Symmetrically normalised adjacency at hop distances 0 ... scales - 1, (K, W*V, W*V) float32.

    Over a window of W frames every frame's skeleton is joined with every other's, and a joint with
    itself in another frame at distance 1.
    """
    hops = np.tile(graph.hops(), (window, window))
    hops = np.where(
        hops == 0, 1 - np.eye(len(hops), dtype=hops.dtype), hops
    )  # itself in another frame: one hop
    found = []
    for scale in range(scales):
        adjacency = np.maximum(hops == scale, np.eye(len(hops))).astype(np.float64)
        degree = adjacency.sum(1) ** -0.5
        found.append(degree[:, None] * adjacency * degree)
    return np.stack(found).astype(np.float32)
