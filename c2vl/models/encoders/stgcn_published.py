"""ST-GCN as the public code has it, where that differs from the paper's text.

The code is st-gcn's (yysijie/st-gcn), which AimCLR, CrosSCLR and ActCLR took over
(`net/utils/graph.py`, `net/st_gcn.py`, `processor/pretrain.py`); pyskl has its own
(`pyskl/utils/graph.py`). Checkpoints of these projects need it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from c2vl.models.encoders.stgcn import STGCN, Block, GraphConvolution
from c2vl.models.graph import NTU25, SkeletonGraph

Partition = Literal["paper", "published", "pyskl"]
Init = Literal["torch", "published"]
DEVIATION = 0.02  # of the published first weights

_PYSKL = {(22, 23): (22, 8), (24, 25): (24, 12)}
PYSKL25 = SkeletonGraph.from_bones(
    "pyskl25",
    [
        _PYSKL.get((joint + 1, parent + 1), (joint + 1, parent + 1))
        for joint, parent in enumerate(NTU25.parents)
        if joint != parent
    ],
    root=NTU25.root + 1,
)
"""NTU25 with tip and thumb of a hand both attached to the hand, as pyskl's graph has them."""


def published_partition(graph: SkeletonGraph) -> np.ndarray:
    """Normalised adjacency in three subsets, (3, V, V) float32, as the public code computes it.

    Entry [k, v, w] is the weight of joint v for joint w. Subset 0 is the joint itself. The code
    measures distances over one bone at most: the root has 0, its neighbours 1, all other joints the
    same infinity. Subset 2 are neighbours nearer to the root by this measure, subset 1 all others.
    So of NTU's 73 entries, 25, 40 and 8 are in the three subsets. Columns of the sum add up to 1.
    """
    hops = graph.hops()
    distance = np.where(hops[graph.root] <= 1, hops[graph.root], np.inf)
    neighbours = hops == 1
    nearer = distance[:, None] < distance[None, :]
    subsets = np.stack([hops == 0, neighbours & ~nearer, neighbours & nearer]).astype(np.float64)
    normalised: np.ndarray = subsets / subsets.sum(axis=(0, 1), keepdims=True)
    return normalised.astype(np.float32)


def partition_of(name: Partition, graph: SkeletonGraph) -> np.ndarray:
    """The partition (3, V, V) float32 of that name.

    Raises:
        ValueError: pyskl's is asked for on another skeleton than NTU's.
    """
    if name == "paper":
        return graph.spatial_partition()
    if name == "published":
        return published_partition(graph)
    if graph.parents != NTU25.parents:
        raise ValueError(f"`partition: pyskl` is for the skeleton {NTU25.name}, not {graph.name}")
    return published_partition(PYSKL25)


class PublishedSTGCN(STGCN):
    """ST-GCN with the partition, first weights and last width of public code.

    Args:
        graph: the skeleton.
        partition: `paper` (the paper's text), `published` (st-gcn's code) or `pyskl`.
        init: first weights: `torch` (PyTorch's), or `published`: N(0, 0.02) of convolutions, zero
            biases, N(1, 0.02) of BatchNorm (AimCLR, `weights_init`).
        last_width: channels of the last block, the number of features; None: 4 * width.
        relative: see each body relative to its root joint, frame by frame. As data of AimCLR,
            CrosSCLR and ActCLR. All three streams of relative joints come out the same so, as they
            are linear.
        arguments: the others of `STGCN`.
    """

    def __init__(
        self,
        graph: SkeletonGraph = NTU25,
        partition: Partition = "paper",
        init: Init = "torch",
        last_width: int | None = None,
        relative: bool = False,
        **arguments: object,
    ) -> None:
        super().__init__(graph, **arguments)  # type: ignore[arg-type]
        self.root = graph.root if relative else None
        last = self.blocks[-1]
        assert isinstance(last, Block)
        if last_width is not None and last_width != last.temporal.out_channels:
            channels, dropout = last.graph.weight.shape[1], last.dropout.p
            stride = last.temporal.stride[1]
            self.blocks[-1] = Block(channels, last_width, graph, stride, dropout, residual=True)
            self.features = last_width
        values = torch.from_numpy(partition_of(partition, graph))
        for module in self.modules():
            if isinstance(module, GraphConvolution):
                module.partition.copy_(values)
        if init == "published":
            self.apply(_draw_published)

    def forward(self, x: Tensor) -> Tensor:
        if self.root is not None:
            x = x - x[:, :, :, self.root : self.root + 1]
        return super().forward(x)


@torch.no_grad()
def _draw_published(module: nn.Module) -> None:
    """Draw the first weights of one layer."""
    if isinstance(module, nn.Conv2d | nn.Linear | GraphConvolution):
        module.weight.normal_(0.0, DEVIATION)
        assert module.bias is not None
        module.bias.zero_()
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        module.weight.normal_(1.0, DEVIATION)
        module.bias.zero_()


def stgcn(
    graph: SkeletonGraph = NTU25,
    partition: Partition = "paper",
    init: Init = "torch",
    last_width: int | None = None,
    relative: bool = False,
    **arguments: object,
) -> STGCN:
    """Return a plain `STGCN` unless an option of `PublishedSTGCN` asks for another."""
    if (partition, init, last_width, relative) == ("paper", "torch", None, False):
        return STGCN(graph, **arguments)  # type: ignore[arg-type]
    return PublishedSTGCN(graph, partition, init, last_width, relative, **arguments)
