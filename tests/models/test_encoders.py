"""The encoders against their published definitions: sizes, graphs, aggregation, invariances."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from synthetic import BENCHMARK, CLASSES, write_data
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv2d

from c2vl.core.errors import UserError
from c2vl.core.layout_file import shipped_layout, shipped_layouts
from c2vl.models.clips import load_clips
from c2vl.models.encoders.cost import Cost, cost
from c2vl.models.encoders.ctrgcn import ChannelwiseGraphConvolution
from c2vl.models.encoders.gru import GRU
from c2vl.models.encoders.msg3d import DisentangledGraphConvolution, k_adjacencies
from c2vl.models.encoders.pointwise import PointwiseConv1d, PointwiseConv2d
from c2vl.models.encoders.recurrence import together
from c2vl.models.encoders.registry import SkeletonEncoderParams, build_encoder
from c2vl.models.encoders.settings import PUBLISHED, TWO_CORES
from c2vl.models.encoders.temporal import MultiScaleTemporal
from c2vl.models.encoders.transformer import EncoderLayer, sinusoids
from c2vl.models.graph import NTU25, SkeletonGraph
from c2vl.models.prompt_features import load_prompts
from c2vl.models.streams import to_stream
from c2vl.training.checkpoint import load_checkpoint, save_checkpoint
from c2vl.training.methods import train
from c2vl.training.training_params import BaselinesParams, PretrainParams

GRAPHS = [SkeletonGraph.of(shipped_layout(name)) for name in shipped_layouts()]
KINECT20 = SkeletonGraph.of(shipped_layout("kinect20"))
PARAMS: TypeAdapter[SkeletonEncoderParams] = TypeAdapter(SkeletonEncoderParams)
SMALL: list[dict[str, Any]] = [
    {"name": "stgcn", "width": 4, "blocks": 3},
    {"name": "stgcn", "width": 4, "blocks": 3, "persons": "present"},
    {"name": "ctrgcn", "width": 8, "blocks": 3},
    {"name": "ctrgcn", "width": 8, "blocks": 3, "persons": "present"},
    {"name": "msg3d", "width": 6, "blocks": 2, "spatial_scales": 4, "window_scales": 3},
    {
        "name": "msg3d",
        "width": 6,
        "blocks": 2,
        "spatial_scales": 4,
        "window_scales": 3,
        "persons": "present",
    },
    {"name": "gru", "width": 8, "layers": 2},
    {"name": "gru", "width": 8, "layers": 2, "reading": "both"},
    {"name": "transformer", "width": 8, "layers": 2, "heads": 2, "frames": 12},
]
FEATURES = {"stgcn": 16, "ctrgcn": 32, "msg3d": 12, "gru": 16, "transformer": 16}
each_encoder = pytest.mark.parametrize(
    "keys", SMALL, ids=lambda keys: "-".join(str(v) for v in keys.values())
)


def built(keys: dict[str, Any], seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    params = PARAMS.validate_python(keys)
    return build_encoder(params, SkeletonGraph.of(shipped_layout(params.graph)))


def size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def dense(channels: int, out: int, taps: int = 1) -> int:
    """Weights and biases of a convolution."""
    return (channels * taps + 1) * out


# --- Published sizes, worked by hand from the layers of the papers and repositories. ---


def test_ctrgcn_has_its_published_size() -> None:
    """1.46 M with the classifier of NTU RGB+D 120: the parameter column of Chen et al., ICCV 2021.

    Layers: github.com/Uason-Chen/CTR-GCN, model/ctrgcn.py. A graph convolution has, for each of 3
    subsets, two 1x1 convolutions to R = C/8 channels (8 in the first block), one from C to C', one
    from R to C'; then A (3·25·25), alpha, a BatchNorm, a 1x1 shortcut with BatchNorm where C
    changes. A temporal one has 4 branches of C'/4 channels.
    """

    def graph(c: int, out: int) -> int:
        relations = 8 if c == 3 else c // 8
        subset = 2 * dense(c, relations) + dense(c, out) + dense(relations, out)
        return 3 * subset + 3 * 625 + 1 + 2 * out + ((dense(c, out) + 2 * out) if c != out else 0)

    def temporal(c: int) -> int:
        b = c // 4
        dilated = dense(c, b) + 2 * b + dense(b, b, 5) + 2 * b
        return 2 * dilated + (dense(c, b) + 4 * b) + (dense(c, b) + 2 * b)

    channels = [3, 64, 64, 64, 64, 128, 128, 128, 256, 256, 256]
    expected = 2 * 150
    for c, out in itertools.pairwise(channels):
        expected += (
            graph(c, out) + temporal(out) + ((dense(c, out) + 2 * out) if c not in (3, out) else 0)
        )
    encoder = build_encoder(PUBLISHED["ctrgcn"])
    assert size(encoder) == expected
    assert round((expected + dense(256, 120)) / 1e6, 2) == 1.46


def test_msg3d_has_its_published_size() -> None:
    """3.2 M with the classifier of NTU RGB+D 60: the parameter column of Liu et al., CVPR 2020.

    Layers: github.com/kenziyuliu/MS-G3D, model/. 13 scales in the factorised pathway, 6 in windows
    of 3 and 5 frames, a residual mask as large as each stack of adjacencies; 6 temporal branches.
    """

    def temporal(c: int, out: int) -> int:
        b = out // 6
        branches = (
            4 * (dense(c, b) + dense(b, b, 3) + 4 * b)
            + (dense(c, b) + 4 * b)
            + (dense(c, b) + 2 * b)
        )
        return branches + (dense(c, out) + 2 * out if c != out else 0)

    def window(c: int, out: int, frames: int) -> int:
        inner = out if c == 3 else c
        mask = 6 * (25 * frames) ** 2
        return mask + dense(6 * c, inner) + 2 * inner + dense(inner, out, frames) + 2 * out

    expected = 2 * 150
    for c, out in itertools.pairwise([3, 96, 192, 384]):
        inner = out if c == 3 else c
        expected += 13 * 625 + dense(13 * c, inner) + 2 * inner
        expected += (
            temporal(inner, out) + 2 * temporal(out, out) + window(c, out, 3) + window(c, out, 5)
        )
    encoder = build_encoder(PUBLISHED["msg3d"])
    assert size(encoder) == expected
    assert round((expected + dense(384, 60)) / 1e6, 1) == 3.2


def test_gru_has_its_published_size() -> None:
    """3 layers of 1024 units in two directions over 150 coordinates, BatchNorm before.

    Source: github.com/maoyunyao/CMD, moco/GRU.py.

    Three gates, each with a matrix for the input, one for the state, and two biases.
    """
    expected = 2 * 150
    for inputs in (150, 2048, 2048):
        expected += 2 * 3 * (inputs * 1024 + 1024 * 1024 + 2 * 1024)
    encoder = build_encoder(PUBLISHED["gru"])
    assert size(encoder) == expected == 44_998_956
    assert encoder.features == 2048


def test_transformer_has_its_published_size() -> None:
    """One layer, one head, 1024 wide, 150 values a frame and 192 a joint.

    Source: github.com/HuiGuanLab/UmURL, umurl.py, options/.
    """
    d = 1024
    embedding = dense(150, d) + dense(192, d) + 2 * (2 * d + dense(d, d))
    layer = dense(d, 3 * d) + dense(d, d) + 2 * dense(d, d) + 2 * 2 * d
    encoder = build_encoder(PUBLISHED["transformer"])
    assert size(encoder) == embedding + 2 * layer
    assert encoder.features == 2048


# --- Graphs. ---


def test_kinect_v1_hangs_together_as_published() -> None:
    """Microsoft's order of NUI joints: hip, spine, shoulder centre, head, then arms and legs."""
    arms = [(3, 5), (5, 6), (6, 7), (7, 8), (3, 9), (9, 10), (10, 11), (11, 12)]
    legs = [(1, 13), (13, 14), (14, 15), (15, 16), (1, 17), (17, 18), (18, 19), (19, 20)]
    expected = {frozenset(bone) for bone in [(1, 2), (2, 3), (3, 4), *arms, *legs]}
    found = {
        frozenset((joint + 1, parent + 1))
        for joint, parent in enumerate(KINECT20.parents)
        if joint != parent
    }
    assert found == expected
    assert (KINECT20.joints, KINECT20.root + 1) == (20, 3)


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
def test_partition_of_ctrgcn_is_self_children_parent_with_normalised_columns(
    graph: SkeletonGraph,
) -> None:
    itself, children, parent = graph.directed_partition()
    np.testing.assert_array_equal(itself, np.eye(graph.joints))
    for joint, above in enumerate(graph.parents):
        offspring = [other for other, its in enumerate(graph.parents) if its == joint != other]
        np.testing.assert_array_equal(children[joint].nonzero()[0], offspring)
        assert set(parent[joint].nonzero()[0]) == ({above} - {joint})
        if offspring:
            np.testing.assert_allclose(parent[:, joint].sum(), 1)
        np.testing.assert_allclose(children[:, joint].sum(), float(joint != graph.root))


@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
def test_k_adjacency_is_the_difference_of_powers(graph: SkeletonGraph, window: int) -> None:
    """Liu et al., Eq. 6: A_k = I + 1(A~^k >= 1) - 1(A~^(k-1) >= 1); windows tile A + I (Eq. 8)."""
    bones = np.eye(graph.joints)
    for joint, above in enumerate(graph.parents):
        bones[joint, above] = bones[above, joint] = 1
    one = np.eye(graph.joints * window)
    step = np.tile(bones if window > 1 else bones - np.eye(graph.joints), (window, window)) + one
    for k, found in enumerate(k_adjacencies(graph, 13, window)):
        power = (
            [np.minimum(np.linalg.matrix_power(step, n), 1) for n in (k, k - 1)]
            if k
            else [one, one]
        )
        adjacency = one + power[0] - power[1]
        degree = adjacency.sum(1) ** -0.5
        np.testing.assert_allclose(found, degree[:, None] * adjacency * degree, atol=1e-6)


def test_bones_follow_the_data_s_skeleton() -> None:
    x = torch.randn(1, 3, 4, 20, 2)
    bones = to_stream(x, "bone", shipped_layout("kinect20"))
    torch.testing.assert_close(
        bones[:, :, :, 3], x[:, :, :, 3] - x[:, :, :, 2]
    )  # head from the shoulders' centre
    assert bones[:, :, :, KINECT20.root].abs().max() == 0


# --- Layers against definitions written out. ---


def test_channelwise_graph_convolution_is_the_published_one() -> None:
    """CTR-GCN's Eq. 6-8 per subset and channel, comparing joints frame by frame, then averaging."""
    torch.manual_seed(0)
    layer = ChannelwiseGraphConvolution(8, 2, KINECT20).double().eval()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = torch.randn(2, 8, 20, 5, dtype=torch.float64)
    total = torch.zeros(2, 2, 20, 5, dtype=torch.float64)
    for k, topology in enumerate(layer.topologies):
        to, origin = (
            torch.einsum("ncvt,rc->nvrt", x, of.weight[..., 0]) + of.bias[:, None]
            for of in (topology.to_joint, topology.from_joint)
        )
        value = (
            torch.einsum("ncvt,oc->novt", x, layer.values[k].weight[..., 0, 0])
            + layer.values[k].bias[:, None, None]
        )
        for o, u, v in itertools.product(range(2), range(20), range(20)):
            relation = (
                torch.tanh(to[:, u].mean(-1) - origin[:, v].mean(-1))
                @ topology.refine.weight[o, :, 0]
            )
            edge = layer.adjacency[k, u, v] + layer.alpha * (relation + topology.refine.bias[o])
            total[:, o, u] += edge[:, None] * value[:, o, v]
    expected = (layer.norm(total) + layer.shortcut(x)).relu()
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize(("channels", "out"), [(3, 8), (6, 6)])  # the two orders of computation
@pytest.mark.parametrize(("window", "stride", "frames"), [(1, 1, 6), (3, 1, 6), (5, 2, 7)])
def test_disentangled_convolution_aggregates_unfolded_windows(
    channels: int, out: int, window: int, stride: int, frames: int
) -> None:
    torch.manual_seed(0)
    layer = DisentangledGraphConvolution(channels, out, KINECT20, 4, window, stride).double().eval()
    nn.init.normal_(layer.residual, std=0.1)
    x = torch.randn(2, channels, 20, frames, dtype=torch.float64)
    half = window // 2
    padded = nn.functional.pad(x, (half, half))
    adjacency = layer.adjacency + layer.residual
    parts = []
    for start in range(0, frames, stride):
        joints = torch.cat([padded[..., start + w] for w in range(window)], dim=2)  # (N, C, W*V)
        scales = [joints @ adjacency[k].T for k in range(4)]
        mixed = sum(torch.einsum("ncv,oc->nov", scales[k], layer.weight[:, k]) for k in range(4))
        parts.append((mixed + layer.bias[:, None]).view(2, out, window, 20))
    expected = torch.stack(parts, dim=-1) / (1 + layer.norm.eps) ** 0.5
    torch.testing.assert_close(layer(x), expected.relu())


def test_multi_scale_temporal_convolution_is_its_branches() -> None:
    torch.manual_seed(0)
    layer = MultiScaleTemporal(6, 12, 3, (1, 2, 3, 4), stride=2).double().eval()
    x = torch.randn(2, 6, 5, 9, dtype=torch.float64)
    unit = (1 + 1e-5) ** -0.5  # BatchNorm at its initial statistics
    reduced = (
        torch.einsum("ncvt,oc->novt", x, layer.reduce[0].weight[..., 0, 0])
        + layer.reduce[0].bias[:, None, None]
    ) * unit
    reduced = reduced.relu()
    frames = range(0, 9, 2)
    parts = []
    for branch, dilation in enumerate((1, 2, 3, 4)):
        conv, share = layer.dilated[branch][0], reduced[:, 2 * branch : 2 * branch + 2]
        padded = nn.functional.pad(share, (dilation, dilation))
        taps = [
            sum(
                torch.einsum("ncv,oc->nov", padded[..., t + i * dilation], conv.weight[:, :, 0, i])
                for i in range(3)
            )
            for t in frames
        ]
        parts.append((torch.stack(taps, -1) + conv.bias[:, None, None]) * unit)
    last = nn.functional.pad(reduced[:, 8:], (1, 1), value=-1)  # below every value after a ReLU
    parts.append(torch.stack([last[..., t : t + 3].amax(-1) for t in frames], -1) * unit)
    for linear in (layer.plain[0], layer.shortcut[0]):
        y = (
            torch.einsum("ncvt,oc->novt", x[..., ::2], linear.weight[..., 0, 0])
            + linear.bias[:, None, None]
        )
        parts.append(y * unit)
    torch.testing.assert_close(layer(x), (torch.cat(parts[:-1], 1) + parts[-1]).relu())


@pytest.mark.parametrize("reading", ["forward", "both"])
def test_gru_reads_as_said(reading: str) -> None:
    """`forward` is fed frame by frame (the published code), `both` sees the whole clip."""
    torch.manual_seed(0)
    encoder = GRU(NTU25, width=4, layers=3, reading=reading).eval()
    reference = nn.GRU(150, 4, 3, bidirectional=True, batch_first=True)
    for number, layer in enumerate(encoder.layers):
        for module, suffix in ((layer.first, ""), (layer.second, "_reverse")):
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(reference, f"{kind}_l{number}{suffix}").data = getattr(
                    module, f"{kind}_l0"
                ).data
    x = torch.randn(2, 3, 6, 25, 2)
    coordinates = x.permute(0, 2, 4, 3, 1).flatten(2) / (1 + 1e-5) ** 0.5
    if reading == "both":
        outputs, _ = reference(coordinates)
        expected = torch.cat([outputs[:, -1, :4], outputs[:, 0, 4:]], 1)
    else:
        state = None
        for frame in coordinates.unbind(1):
            outputs, state = reference(frame[:, None], state)
        expected = outputs[:, 0]
    torch.testing.assert_close(encoder(x), expected)


def test_on_a_gpu_the_gru_is_kept_out_of_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which would compute it in float16, whatever was asked for. `meta` stands in for a GPU."""
    calls = []
    monkeypatch.setattr(
        torch, "autocast", lambda device, enabled: calls.append((device, enabled)) or nullcontext()
    )
    encoder, x = GRU(NTU25, width=4, layers=2), torch.randn(2, 3, 6, 25, 2)
    encoder(x)
    assert not calls
    encoder.to("meta")(x.to("meta"))
    assert calls == [("meta", False)]


def test_positions_are_sines_and_cosines() -> None:
    table = sinusoids(5, 6)
    for position, column in itertools.product(range(5), range(6)):
        angle = position / 10000 ** (2 * (column // 2) / 6)
        assert table[position, column].item() == pytest.approx(
            np.cos(angle) if column % 2 else np.sin(angle), abs=1e-6
        )


# --- All encoders. ---


@each_encoder
@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
@pytest.mark.parametrize("persons", [1, 2])
def test_every_encoder_gives_features_of_every_skeleton_and_trains(
    keys: dict[str, Any], graph: SkeletonGraph, persons: int
) -> None:
    encoder = built({**keys, "graph": graph.name})
    with torch.no_grad():
        for (
            parameter
        ) in encoder.parameters():  # some start at zero on purpose, and hold gradients back
            parameter.add_(0.05 * torch.randn_like(parameter))
    for module in encoder.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0  # the statistics of one batch are those that evaluation takes
    seen = {name: False for name, _ in encoder.named_parameters()}
    for training in (
        True,
        False,
    ):  # a batch's own mean cancels a bias before it: its gradient shows in evaluation alone
        encoder.train(training).zero_grad(set_to_none=True)
        x = torch.randn(3, 3, 12, graph.joints, persons, requires_grad=True)
        features = encoder(x)
        assert features.shape == (3, FEATURES[keys["name"]]) == (3, encoder.features)
        (features * torch.randn_like(features)).sum().backward()
        assert x.grad is not None
        assert (x.grad.abs().amax((0, 1, 2)) > 0).all(), "a joint is not seen"
        assert (x.grad.abs().amax((0, 1, 3, 4)) > 0).all(), "a frame is not seen"
        for name, parameter in encoder.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            seen[name] |= not training and bool(parameter.grad.abs().max() > 0)
    assert all(seen.values()), [name for name, used in seen.items() if not used]


@each_encoder
def test_an_absent_second_person_is_an_empty_slot(keys: dict[str, Any]) -> None:
    encoder = built(keys).eval()
    x = torch.randn(4, 3, 12, 25, 1)
    with torch.no_grad():
        alone = encoder(x)
        torch.testing.assert_close(encoder(torch.cat([x, torch.zeros_like(x)], -1)), alone)
        if keys.get("persons") == "present":  # and is left out of the mean
            padded = built({**keys, "persons": "padded"}).eval()
            torch.testing.assert_close(padded(torch.cat([x, x], -1)), alone)
    with pytest.raises(ValueError, match="2 persons"):
        encoder(torch.zeros(1, 3, 12, 25, 3))


@each_encoder
def test_a_clip_s_features_do_not_depend_on_its_batch(keys: dict[str, Any]) -> None:
    encoder = built(keys).eval()
    x = torch.randn(4, 3, 12, 25, 2)
    x[1, ..., 1] = 0
    with torch.no_grad():
        each = torch.cat([encoder(clip[None]) for clip in x])
        torch.testing.assert_close(encoder(x), each)


@each_encoder
def test_the_same_seed_gives_the_same_weights(keys: dict[str, Any]) -> None:
    first, second, other = (built(keys, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("name", ["stgcn", "ctrgcn", "msg3d"])
def test_graph_encoders_do_not_care_who_is_first(name: str) -> None:
    """At BatchNorm's initial statistics; later each slot of CTR-GCN and MS-G3D has its own."""
    encoder = built(next(keys for keys in SMALL if keys["name"] == name)).eval()
    x = torch.randn(2, 3, 12, 25, 2)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x.flip(-1)), encoder(x))


@each_encoder
def test_clips_of_another_skeleton_are_one_sentence(keys: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"has 25 joints, the clips' 20; train it on this data"):
        built(keys)(torch.randn(2, 3, 12, 20, 2))


@each_encoder
def test_an_encoder_is_built_for_a_skeleton_without_a_name(keys: dict[str, Any]) -> None:
    """A graph of a few lines is all that another skeleton takes."""
    cross = SkeletonGraph.from_bones("cross", [(2, 1), (3, 1), (4, 1), (5, 1)], root=1)
    encoder = build_encoder(PARAMS.validate_python(keys), cross)
    assert encoder(torch.randn(2, 3, 12, 5, 2)).shape == (2, FEATURES[keys["name"]])


def test_transformer_s_joint_half_is_a_set_and_its_frame_half_a_sequence() -> None:
    encoder = built(SMALL[-1]).eval()
    x = torch.randn(2, 3, 12, 25, 2)
    shuffled = x[:, :, :, torch.randperm(25)]

    def halves(clips: Tensor) -> tuple[Tensor, ...]:
        return encoder(clips).split(8, dim=1)

    with torch.no_grad():
        torch.testing.assert_close(halves(shuffled)[1], halves(x)[1])
        assert not torch.allclose(halves(shuffled)[0], halves(x)[0])
        assert not torch.allclose(halves(x.flip(2))[0], halves(x)[0])
    with pytest.raises(UserError, match="12 frames, not 16"):
        encoder(torch.zeros(1, 3, 16, 25, 2))


def test_keys_belong_to_an_encoder() -> None:
    assert PARAMS.validate_python({"width": 8}).name == "stgcn"
    assert PARAMS.validate_python({"name": "gru"}).layers == 3
    for wrong in (
        {"name": "gru", "blocks": 3},
        {"name": "lstm"},
        {"name": "msg3d", "width": 8},
        {"graph": "no name"},
    ):
        with pytest.raises(ValidationError):
            PARAMS.validate_python(wrong)
    for params in [*PUBLISHED.values(), *TWO_CORES.values()]:
        assert PARAMS.validate_python(params.model_dump()) == params


def test_a_transformer_for_other_clips_is_refused_before_it_is_trained() -> None:
    view = {"frames": 16, "shortest": 16}
    assert PretrainParams.model_validate(
        {"encoder": {"name": "transformer", "frames": 16}, "view": view}
    )
    with pytest.raises(ValidationError, match=r"encoder.frames.*64.*view.frames.*16"):
        PretrainParams.model_validate({"encoder": {"name": "transformer"}, "view": view})


def test_cost_counts_what_can_be_worked_out_by_hand() -> None:
    """A linear layer from n to m: 2nm FLOPs forward, as many again for its weight.

    Its input is kept for the backward pass.
    """

    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3 * 4 * 5 * 2, 7)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x.flatten(1))

    found = cost(Linear(), frames=4, joints=5)
    assert found == Cost(
        parameters=121 * 7,
        forward_flops=2 * 120 * 7,
        training_flops=4 * 120 * 7,
        saved_bytes=4 * 120,
    )


@pytest.mark.parametrize("keys", SMALL, ids=lambda keys: "-".join(str(v) for v in keys.values()))
def test_training_costs_two_to_three_times_the_forward_pass(keys: dict[str, Any]) -> None:
    found = cost(built(keys), frames=12)
    assert 2 < found.training_flops / found.forward_flops <= 3
    assert found.saved_bytes > 0


@each_encoder
def test_half_precision_changes_little(keys: dict[str, Any]) -> None:
    encoder = built(keys)
    x = torch.randn(6, 3, 12, 25, 2)
    exact = encoder(x).detach()
    with torch.autocast("cpu", torch.bfloat16):
        rough = encoder(x).float()
    assert (rough - exact).abs().max() < 0.03 * exact.abs().max()
    rough.square().sum().backward()
    assert all(
        parameter.grad is not None and parameter.grad.isfinite().all()
        for parameter in encoder.parameters()
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_data(root)
    return root


@pytest.mark.parametrize("keys", SMALL[1::2] + SMALL[-1:], ids=lambda keys: keys["name"])
def test_every_encoder_is_pretrained_and_read_back(
    keys: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    section = {
        "encoder": keys,
        "view": {"frames": 12, "shortest": 12},
        "batch": 24,
        "epochs": 1,
        "probe_every": 0,
    }
    params = PretrainParams.model_validate(section)
    clips = load_clips(data, BENCHMARK, "train", "cpu")
    prompts = load_prompts(data, clips.samples, ["language"], "cpu")
    params = params.model_copy(
        update={"objective": params.objective.model_copy(update={"knowledge": "language"})}
    )
    trained = train("c2vl", clips, prompts, CLASSES, BENCHMARK, "bone", params, BaselinesParams())
    save_checkpoint(tmp_path, trained.network, trained.config, trained.curves)
    read = load_checkpoint(tmp_path)
    assert read.config.encoder == params.encoder
    x = torch.randn(2, 3, 12, 25, 2)
    with torch.no_grad():
        torch.testing.assert_close(read.encoder(x), trained.network.encoder.eval()(x))


def same_results(
    one: Callable[..., Tensor], other: Callable[..., Tensor], inputs: list[Tensor]
) -> None:
    """Values and gradients agree to float64's precision."""
    values = [each(inputs[0]) for each in (one, other)]
    torch.testing.assert_close(*values, rtol=1e-12, atol=1e-12)
    weights = torch.randn(
        values[0].shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7)
    )
    gradients = [torch.autograd.grad((value * weights).sum(), inputs) for value in values]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-10)


def test_two_grus_together_are_torch_s_one_by_one() -> None:
    torch.manual_seed(0)
    first, second = (nn.GRU(6, 5, batch_first=True).double() for _ in range(2))
    x = torch.randn(4, 7, 6, dtype=torch.float64, requires_grad=True)
    inputs = [x, *first.parameters(), *second.parameters()]
    same_results(
        lambda x: torch.cat(together(first, second, x), dim=2),
        lambda x: torch.cat([first(x)[0], second(x)[0]], dim=2),
        inputs,
    )


@pytest.mark.parametrize("heads", [1, 2])
def test_transformer_layer_is_torch_s(heads: int) -> None:
    torch.manual_seed(0)
    layer = EncoderLayer(8, heads).double()
    reference = nn.TransformerEncoderLayer(8, heads, 8, dropout=0.0, batch_first=True).double()
    reference.load_state_dict(layer.state_dict())
    for name, parameter in layer.named_parameters():
        module, _, own = name.rpartition(".")
        setattr(reference.get_submodule(module), own, parameter)
    x = torch.randn(3, 5, 8, dtype=torch.float64, requires_grad=True)
    same_results(layer, reference, [x, *layer.parameters()])


@pytest.mark.parametrize("strided", [False, True])
def test_pointwise_products_are_convolutions(strided: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 5, 6, dtype=torch.float64, requires_grad=True)
    plane, line = PointwiseConv2d(3, 7).double(), PointwiseConv1d(3, 7).double()

    def seen(x: Tensor) -> Tensor:
        return x[..., ::2] if strided else x

    same_results(
        lambda x: plane(seen(x)),
        lambda x: conv2d(seen(x), plane.weight, plane.bias),
        [x, *plane.parameters()],
    )
    same_results(
        lambda x: line(seen(x)[:, :, 0]),
        lambda x: conv1d(seen(x)[:, :, 0], line.weight, line.bias),
        [x, *line.parameters()],
    )
