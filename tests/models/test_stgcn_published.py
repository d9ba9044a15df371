"""ST-GCN as public code has it: partition, size, first weights, relative joints."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from c2vl.core.layout_file import shipped_layout
from c2vl.models.encoders.registry import STGCNParams, build_encoder
from c2vl.models.encoders.stgcn import STGCN, GraphConvolution
from c2vl.models.encoders.stgcn_published import (
    PYSKL25,
    PublishedSTGCN,
    partition_of,
    published_partition,
)
from c2vl.models.graph import NTU25, SkeletonGraph
from c2vl.models.streams import STREAMS, to_stream

NTU = shipped_layout("ntu25")
# 1-based pairs as st-gcn lists them, and pyskl's, which attaches hand tip and thumb to the hand.
BODY = "1-2 2-21 3-21 4-3 5-21 6-5 7-6 8-7 9-21 10-9 11-10 12-11 13-1 14-13 15-14 16-15 17-1 18-17"
BODY += " 19-18 20-19"
BONES = {"published": f"{BODY} 22-23 23-8 24-25 25-12", "pyskl": f"{BODY} 22-8 23-8 24-12 25-12"}


def naive(bones: str) -> np.ndarray:
    """The rule of the public code, joint by joint: who is within one bone of the centre, 21?"""
    pairs = {tuple(map(int, bone.split("-"))) for bone in bones.split()}
    joined = pairs | {(b, a) for a, b in pairs}

    def distance(joint: int) -> float:  # it looks no farther than one bone
        return 0 if joint == 21 else 1 if (joint, 21) in joined else float("inf")

    table = np.zeros((3, 25, 25))
    for to in range(1, 26):
        near = [joint for joint in range(1, 26) if joint == to or (joint, to) in joined]
        for joint in near:
            subset = 0 if joint == to else 1 if distance(joint) >= distance(to) else 2
            table[subset, joint - 1, to - 1] = 1 / len(near)
    return table


@pytest.mark.parametrize("name", ["published", "pyskl"])
def test_the_partition_is_that_of_the_public_code(name) -> None:
    table = naive(BONES[name])
    found = partition_of(name, NTU25)
    np.testing.assert_allclose(found, table, atol=1e-7)
    assert [(subset > 0).sum() for subset in found] == [25, 40, 8]
    np.testing.assert_allclose(found.sum((0, 1)), np.ones(25), atol=1e-6)
    encoder = build_encoder(STGCNParams(width=4, blocks=3, partition=name))
    layers = [layer for layer in encoder.modules() if isinstance(layer, GraphConvolution)]
    assert len(layers) == 3
    for layer in layers:
        np.testing.assert_array_equal(layer.partition.numpy(), found)


def test_the_papers_partition_differs_in_32_entries() -> None:
    paper, published = NTU25.spatial_partition(), published_partition(NTU25)
    assert [(subset > 0).sum() for subset in paper] == [25, 24, 24]
    assert ((paper > 0) != (published > 0)).any(0).sum() == 16
    assert ((paper > 0) != (published > 0)).sum() == 32
    np.testing.assert_allclose(paper.sum(0), published.sum(0), atol=1e-7)
    np.testing.assert_array_equal(partition_of("paper", NTU25), paper)


def test_pyskls_skeleton_is_ntus_but_for_two_bones() -> None:
    differing = [
        (one, other)
        for one, other in zip(NTU25.parents, PYSKL25.parents, strict=True)
        if one != other
    ]
    assert differing == [(22, 7), (24, 11)]
    with pytest.raises(ValueError, match="ntu25"):
        partition_of("pyskl", SkeletonGraph.of(shipped_layout("kinect20")))


def test_size_is_aimclrs() -> None:
    """821,380 weights and 256 features, worked by hand from AimCLR's layers.

    Its config: hidden_channels 16, hidden_dim 256 (`config/ntu60`). Of each block: 1x1 convolution
    to three subsets, edge importance 3·25·25, BatchNorm, 9x1 convolution, BatchNorm; where channels
    change after the first block, a 1x1 convolution with BatchNorm. BatchNorm of the input.
    """
    channels = [3, 16, 16, 16, 16, 32, 32, 32, 64, 64, 256]
    expected = 2 * 75
    for before, after in itertools.pairwise(channels):
        expected += 3 * after * before + 3 * after + 3 * 625
        expected += 2 * after + 9 * after * after + after + 2 * after
        if before not in (3, after):
            expected += before * after + after + 2 * after
    assert expected == 821_380
    encoder = build_encoder(STGCNParams(width=16, last_width=256))
    assert sum(parameter.numel() for parameter in encoder.parameters()) == expected
    assert encoder.features == 256
    assert encoder.eval()(torch.randn(2, 3, 16, 25, 2)).shape == (2, 256)
    narrow = build_encoder(STGCNParams(width=16))
    assert sum(parameter.numel() for parameter in narrow.parameters()) == 212_868
    assert narrow.features == 64


def test_profiles_use_the_published_partition_and_aimclrs_size() -> None:
    import yaml
    from code_deps import ROOT

    for name, (width, last) in {"paper": (64, None), "small": (16, 256)}.items():
        section = yaml.safe_load((ROOT / "profiles" / f"{name}.yaml").read_text())["pretrain"]
        params = STGCNParams.model_validate(section["encoder"])
        assert (params.partition, params.init) == ("published", "published")
        assert (params.width, params.last_width) == (width, last)
    section = yaml.safe_load((ROOT / "profiles" / "demo.yaml").read_text())["pretrain"]
    assert type(build_encoder(STGCNParams.model_validate(section["encoder"]))) is STGCN


def test_first_weights_are_the_published_ones() -> None:
    torch.manual_seed(0)
    encoder = build_encoder(STGCNParams(width=32, init="published"))
    drawn: dict[str, list[torch.Tensor]] = {"weight": [], "norm": []}
    for layer in encoder.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | GraphConvolution):
            drawn["weight"].append(layer.weight.flatten())
            assert not layer.bias.any()
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            drawn["norm"].append(layer.weight.flatten())
            assert not layer.bias.any()
        if isinstance(layer, GraphConvolution):
            assert (layer.importance == 1).all()
    for name, mean in (("weight", 0.0), ("norm", 1.0)):
        values = torch.cat(drawn[name])
        assert values.mean().item() == pytest.approx(mean, abs=0.004)
        assert values.std().item() == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("stream", STREAMS)
def test_relative_joints_give_the_streams_of_relative_joints(stream) -> None:
    torch.manual_seed(0)
    plain = build_encoder(STGCNParams(width=4, blocks=3, partition="published")).eval()
    relative = build_encoder(
        STGCNParams(width=4, blocks=3, partition="published", relative=True)
    ).eval()
    relative.load_state_dict(plain.state_dict())
    x = torch.randn(3, 3, 12, 25, 2)
    x[0, ..., 1] = 0
    moved = x - x[:, :, :, 20:21]
    torch.testing.assert_close(
        relative(to_stream(x, stream, NTU)),
        plain(to_stream(moved, stream, NTU)),
        rtol=1e-4,
        atol=1e-5,
    )


def test_without_options_it_is_the_encoder_of_before() -> None:
    torch.manual_seed(0)
    plain = STGCN(width=4, blocks=3)
    torch.manual_seed(0)
    built = build_encoder(STGCNParams(width=4, blocks=3))
    assert type(built) is STGCN
    for one, other in zip(plain.parameters(), built.parameters(), strict=True):
        assert torch.equal(one, other)
    torch.manual_seed(0)
    other_partition = PublishedSTGCN(partition="published", width=4, blocks=3)
    for one, other in zip(plain.parameters(), other_partition.parameters(), strict=True):
        assert torch.equal(one, other)
    graph = SkeletonGraph.from_bones("cross", [(2, 1), (3, 1), (4, 1), (5, 1)], root=1)
    np.testing.assert_allclose(published_partition(graph), graph.spatial_partition())
