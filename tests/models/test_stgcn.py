"""ST-GCN against the published definition in the published memory order, and its published size."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from c2vl.models.encoders.depth import stage_sizes
from c2vl.models.encoders.registry import STGCNParams, build_encoder
from c2vl.models.encoders.stgcn import STGCN, Block, GraphConvolution
from c2vl.models.graph import NTU25, SkeletonGraph


def test_size_is_the_published_one() -> None:
    """3.10 M parameters with the 60-class classifier.

    Source: Song et al., "EfficientGCN" (TPAMI 2022), Table of SOTA, ST-GCN.

    Worked by hand from the published layers: per block graph 1x1 conv (3C'), edge importance
    3·25·25, two BatchNorms, 9x1 conv; strided blocks have a 1x1 shortcut with BatchNorm; BatchNorm
    of the input; classifier.
    """
    channels = [3, 64, 64, 64, 64, 128, 128, 128, 256, 256, 256]
    expected = 2 * 75 + 256 * 60 + 60
    for before, after in itertools.pairwise(channels):
        expected += (before + 1) * 3 * after + 3 * 625 + 2 * 2 * after + 9 * after * after + after
        if before != after and before != 3:
            expected += (before + 1) * after + 2 * after
    encoder = build_encoder(STGCNParams())
    size = sum(parameter.numel() for parameter in encoder.parameters()) + (256 + 1) * 60
    assert size == expected
    assert round(size / 1e6, 1) == 3.1


def test_graph_convolution_is_the_published_einsum() -> None:
    torch.manual_seed(0)
    layer = GraphConvolution(4, 6, NTU25).double()
    nn.init.normal_(layer.importance)
    x = torch.randn(2, 4, 5, 25, dtype=torch.float64)  # (N, C, T, V), the published order
    y = torch.einsum("nctv,kco->nkotv", x, layer.weight) + layer.bias[None, :, :, None, None]
    y = torch.einsum("nkotv,kvw->notw", y, layer.partition * layer.importance)
    torch.testing.assert_close(layer(x.permute(3, 1, 0, 2)), y.permute(3, 1, 0, 2))


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64]
)  # oneDNN has kernels for one of them
@pytest.mark.parametrize(("channels", "out", "stride"), [(4, 4, 1), (4, 8, 2), (8, 16, 2)])
def test_block_is_the_published_one(
    channels: int, out: int, stride: int, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    block = Block(channels, out, NTU25, stride, 0.0, residual=True).to(dtype)
    memory = torch.randn(25, 2, 12, channels, dtype=dtype)  # channels innermost, as in the network
    x = memory.permute(0, 3, 1, 2).requires_grad_()

    def normalise(norm: nn.BatchNorm2d, values: torch.Tensor) -> torch.Tensor:
        mean, variance = (
            values.mean((0, 2, 3), keepdim=True),
            values.var((0, 2, 3), unbiased=False, keepdim=True),
        )
        return (values - mean) / (variance + norm.eps).sqrt() * norm.weight[
            :, None, None
        ] + norm.bias[:, None, None]

    y = normalise(block.graph_norm, block.graph(x)).relu()
    padded = nn.functional.pad(y, (4, 4))
    frames = range(0, 12, stride)
    windows = torch.stack([padded[..., t : t + 9] for t in frames], dim=3)  # (V, C, N, T', 9)
    y = (
        torch.einsum("vcntk,ock->vont", windows, block.temporal.weight[:, :, 0])
        + block.temporal.bias[:, None, None]
    )
    y = normalise(block.temporal_norm, y)
    if stride == 1:
        shortcut = x
    else:
        linear = block.residual.linear
        shortcut = (
            torch.einsum("vcnt,oc->vont", x[..., ::stride], linear.weight)
            + linear.bias[:, None, None]
        )
        shortcut = normalise(block.residual.norm, shortcut)
    exact = {} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(block(x), (y + shortcut).relu(), **exact)


def test_depth_comes_off_the_longest_stage() -> None:
    assert [stage_sizes(blocks) for blocks in (10, 9, 8, 6, 4, 3)] == [
        [4, 3, 3],
        [3, 3, 3],
        [3, 3, 2],
        [2, 2, 2],
        [2, 1, 1],
        [1, 1, 1],
    ]
    with pytest.raises(ValueError, match="3 to 10"):
        stage_sizes(11)


def test_strides_are_at_blocks_5_and_8() -> None:
    strides = [block.temporal.stride[1] for block in STGCN(width=4).blocks]
    assert strides == [1, 1, 1, 1, 2, 1, 1, 2, 1, 1]


@pytest.mark.parametrize("width", [4, 8, 16])
def test_every_width_trains_and_the_empty_slot_counts_as_asked(width: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(5, 3, 16, 25, 2)
    x[:3, ..., 1] = 0
    encoders = {
        persons: build_encoder(STGCNParams(width=width, blocks=3, persons=persons))
        for persons in ("padded", "present")
    }
    encoders["present"].load_state_dict(encoders["padded"].state_dict())
    for encoder in encoders.values():
        features = encoder(x)
        assert features.shape == (5, 4 * width)
        features.square().sum().backward()
        assert all(
            parameter.grad is not None and parameter.grad.isfinite().all()
            for parameter in encoder.parameters()
        )
    padded, present = (encoders[persons].eval() for persons in ("padded", "present"))
    padded.load_state_dict(present.state_dict())
    with torch.no_grad():
        single = torch.stack([padded(torch.stack([x[..., m], x[..., m]], -1)) for m in (0, 1)])
        torch.testing.assert_close(present(x)[3:], single.mean(0)[3:])
        torch.testing.assert_close(present(x)[:3], single[0, :3])
        torch.testing.assert_close(padded(x), single.mean(0))
        swapped = x.flip(-1)
        torch.testing.assert_close(present(swapped)[3:], present(x)[3:])


def test_an_all_zero_clip_does_not_break_the_batch() -> None:
    encoder = build_encoder(STGCNParams(width=4, blocks=3, persons="present")).eval()
    assert encoder(torch.zeros(2, 3, 8, 25, 2)).isfinite().all()


def test_other_skeletons() -> None:
    graph = SkeletonGraph.from_bones("cross", [(2, 1), (3, 1), (4, 1), (5, 1)], root=1)
    assert build_encoder(STGCNParams(width=4, blocks=3), graph)(
        torch.randn(2, 3, 8, 5, 1)
    ).shape == (2, 16)
