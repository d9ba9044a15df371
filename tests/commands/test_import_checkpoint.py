"""`c2vl import-checkpoint`: public names, an independent forward pass, hostile files."""

from __future__ import annotations

import itertools
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from c2vl.cli import main
from c2vl.core.layout_file import shipped_layout
from c2vl.models.encode import encode
from c2vl.models.encoders.stgcn_published import partition_of
from c2vl.models.graph import NTU25
from c2vl.models.ragged import RaggedSkeletons
from c2vl.models.streams import to_stream
from c2vl.models.views import test_view as middle_view
from c2vl.training.checkpoint import load_checkpoint

CHANNELS = [3, 4, 4, 4, 4, 8, 8, 8, 16, 16]
NAMES = {  # graph convolution, its norm, temporal convolution, its norm, shortcut, its norm
    "st-gcn": ("gcn.conv", "tcn.0", "tcn.2", "tcn.3", "residual.0", "residual.1"),
    "pyskl": ("gcn.conv", "gcn.bn", "tcn.conv", "tcn.bn", "residual.conv", "residual.bn"),
}


def layers(naming: str, last: int) -> list[tuple[str, int, int, int]]:
    """(name, channels in, channels out, stride) of the ten blocks."""
    stem = "st_gcn_networks" if naming == "st-gcn" else "gcn"
    widths = list(itertools.pairwise([*CHANNELS, last]))
    return [(f"{stem}.{n}", a, b, 2 if n in (4, 7) else 1) for n, (a, b) in enumerate(widths)]


def made(naming: str, last: int = 24, prefix: str = "", seed: int = 0) -> dict[str, Tensor]:
    """A checkpoint with random weights in a project's names."""
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int, about: float = 0.0) -> Tensor:
        return about + 0.3 * torch.randn(shape, generator=random)

    state: dict[str, Tensor] = {}

    def norm(name: str, size: int) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = draw(size, about=1), draw(size)
        state[f"{name}.running_mean"] = draw(size)
        state[f"{name}.running_var"] = draw(size).square() + 0.5
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def conv(name: str, *shape: int) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = draw(*shape), draw(shape[0])

    adjacency = torch.from_numpy(
        partition_of("published" if naming == "st-gcn" else "pyskl", NTU25)
    )
    norm("data_bn", 75)
    graph, graph_norm, temporal, temporal_norm, shortcut, shortcut_norm = NAMES[naming]
    for number, (name, before, after, stride) in enumerate(layers(naming, last)):
        conv(f"{name}.{graph}", 3 * after, before, 1, 1)
        norm(f"{name}.{graph_norm}", after)
        conv(f"{name}.{temporal}", after, after, 9, 1)
        norm(f"{name}.{temporal_norm}", after)
        if number and (before != after or stride == 2):
            conv(f"{name}.{shortcut}", after, before, 1, 1)
            norm(f"{name}.{shortcut_norm}", after)
        importance = draw(3, 25, 25, about=1)
        if naming == "st-gcn":
            state[f"edge_importance.{number}"] = importance
        else:
            state[f"{name}.gcn.PA"], state[f"{name}.gcn.A"] = importance, adjacency
    if naming == "st-gcn":
        state["A"] = adjacency
        state["fc.weight"], state["fc.bias"] = draw(60, last), draw(60)
    return {prefix + name: value for name, value in state.items()}


def forward(state: dict[str, Tensor], naming: str, x: Tensor, last: int = 24) -> Tensor:
    """The published network in plain torch: (B, C, T, V, M) to (B, D)."""

    def norm(name: str, values: Tensor) -> Tensor:
        kept = (state[f"{name}.{part}"] for part in ("running_mean", "running_var"))
        return F.batch_norm(values, *kept, state[f"{name}.weight"], state[f"{name}.bias"])

    def conv(name: str, values: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return F.conv2d(values, weight, bias, stride=(stride, 1), padding=(padding, 0))

    clips, channels, frames, joints, persons = x.shape
    x = x.permute(0, 4, 3, 1, 2).reshape(clips * persons, joints * channels, frames)
    x = norm("data_bn", x).view(clips * persons, joints, channels, frames).permute(0, 2, 3, 1)
    graph, graph_norm, temporal, temporal_norm, shortcut, shortcut_norm = NAMES[naming]
    for number, (name, before, after, stride) in enumerate(layers(naming, last)):
        if naming == "st-gcn":
            adjacency = state["A"] * state[f"edge_importance.{number}"]
        else:
            adjacency = state[f"{name}.gcn.A"] * state[f"{name}.gcn.PA"]
        rest: Any = 0
        if number:
            same = before == after and stride == 1
            rest = (
                x
                if same
                else norm(f"{name}.{shortcut_norm}", conv(f"{name}.{shortcut}", x, stride))
            )
        y = conv(f"{name}.{graph}", x).unflatten(1, (3, after))
        y = torch.einsum("nkctv,kvw->nctw", y, adjacency)
        y = norm(f"{name}.{graph_norm}", y).relu()
        y = norm(f"{name}.{temporal_norm}", conv(f"{name}.{temporal}", y, stride, 4))
        x = (y + rest).relu()
    return x.mean((2, 3)).view(clips, persons, -1).mean(1)


def imported(folder: Path, content: Any, *arguments: str) -> Any:
    """The checkpoint that the command makes of a saved object."""
    torch.save(content, folder / "public.pt")
    main(["import-checkpoint", str(folder / "public.pt"), "--out", str(folder / "out"), *arguments])
    return load_checkpoint(folder / "out")


@pytest.fixture
def clips() -> Tensor:
    x = torch.randn(3, 3, 20, 25, 2, generator=torch.Generator().manual_seed(1))
    x[0, ..., 1] = 0
    return x


# Of which project, its naming, prefix, where the weights are.
CASES: dict[str, tuple[str, str, bool]] = {
    "AimCLR, pretrained": ("st-gcn", "encoder_q.", False),
    "AimCLR, on several devices": ("st-gcn", "module.encoder_q.", False),
    "SkeletonCLR or st-gcn alone": ("st-gcn", "", False),
    "pyskl": ("pyskl", "backbone.", True),
}


@pytest.mark.parametrize("case", CASES)
def test_features_are_those_of_the_published_network(
    case: str, tmp_path: Path, clips: Tensor, capsys: pytest.CaptureFixture[str]
) -> None:
    naming, prefix, nested = CASES[case]
    state = made(naming, prefix=prefix)
    if "encoder_q." in prefix:  # the momentum encoder, the queue and the head are left out
        state |= made(naming, prefix=prefix.replace("_q", "_k"), seed=5)
        state["queue"] = torch.zeros(128, 8)
    if naming == "pyskl":
        state["cls_head.fc_cls.weight"] = torch.zeros(60, 24)
    content = {"state_dict": state, "meta": {"epoch": 16}} if nested else state
    checkpoint = imported(tmp_path, content)
    assert "24 features" in capsys.readouterr().out
    own = {name.removeprefix(prefix): value for name, value in state.items()}
    relative = naming == "st-gcn"
    seen = clips - clips[:, :, :, 20:21] if relative else clips
    with torch.no_grad():
        torch.testing.assert_close(
            checkpoint.encoder(clips), forward(own, naming, seen), rtol=1e-3, atol=1e-4
        )
    config = checkpoint.config
    assert (config.method, config.frames) == ("imported", 50 if relative else 100)
    assert config.encoder.partition == ("published" if relative else "pyskl")
    assert (config.encoder.width, config.encoder.blocks, config.encoder.last_width) == (4, 10, 24)


def test_each_stream_of_crossclr_has_its_encoder(tmp_path: Path, clips: Tensor) -> None:
    """And the whole path from joints in metres: the view, the stream, joints relative to 21."""
    state: dict[str, Tensor] = {}
    for seed, name in enumerate(("q", "k", "q_motion", "k_motion", "q_bone", "k_bone")):
        state |= made("st-gcn", last=16, prefix=f"encoder_{name}.", seed=seed)
    skeletons = RaggedSkeletons.from_clips([clips[1].permute(1, 3, 2, 0).numpy()])
    for stream, prefix in (
        ("joint", "encoder_q."),
        ("motion", "encoder_q_motion."),
        ("bone", "encoder_q_bone."),
    ):
        folder = tmp_path / stream
        folder.mkdir()
        checkpoint = imported(folder, state, "--stream", stream, "--frames", "16")
        assert checkpoint.config.encoder.last_width is None
        own = {
            name.removeprefix(prefix): value
            for name, value in state.items()
            if name.startswith(prefix)
        }
        view = middle_view(skeletons, torch.tensor([0]), 16)
        seen = to_stream(view - view[:, :, :, 20:21], stream, shipped_layout("ntu25"))  # type: ignore[arg-type]
        found = encode(checkpoint.encoder, skeletons, stream, checkpoint.config.frames)  # type: ignore[arg-type]
        with torch.no_grad():
            torch.testing.assert_close(
                found, forward(own, "st-gcn", seen, 16), rtol=1e-3, atol=1e-4
            )


class Hostile:
    """Unpickled, it would make a file."""

    def __reduce__(self) -> Any:
        return os.system, ("touch hostile",)


def broken() -> dict[str, tuple[Any, str]]:
    ok = made("st-gcn")
    wrong_joints = {**ok, "data_bn.weight": torch.ones(60)}
    learnt = {**ok, "A": ok["A"] + 0.1}
    other = {**ok, "st_gcn_networks.3.attention.weight": torch.ones(3)}
    return {
        "another size": (wrong_joints, "not an ST-GCN on 25 joints"),
        "a learnt graph": (learnt, "learnt, or of another graph"),
        "another layer": (other, "attention.weight has no place"),
        "no ST-GCN": ({"conv.weight": torch.ones(3)}, "holds no ST-GCN"),
        "no state dict": (torch.ones(3), "holds no state dict"),
        "two encoders": (
            made("st-gcn", prefix="a.") | made("st-gcn", prefix="b."),
            "not one encoder named encoder_q",
        ),
        "code": ({"weights": Hostile(), **ok}, "Nothing in it was run"),
    }


@pytest.mark.parametrize("case", broken())
def test_what_cannot_be_used_is_a_sentence(
    case: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    content, said = broken()[case]
    with pytest.raises(SystemExit):
        imported(tmp_path, content)
    errors = capsys.readouterr().err
    assert said in errors and len(errors.splitlines()) == 1
    assert not (tmp_path / "out").exists() and not (tmp_path / "hostile").exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_plain_pickle_is_not_run_either(
    protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "public.pt").write_bytes(pickle.dumps(Hostile(), protocol))
    with pytest.raises(SystemExit):
        main(["import-checkpoint", "public.pt", "--out", "out"])
    assert not (tmp_path / "hostile").exists()


def test_an_existing_folder_or_a_missing_file_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").touch()
    for file, out, said in (("x.pt", "out", "exists already"), ("x.pt", "new", "cannot be read")):
        with pytest.raises(SystemExit):
            main(["import-checkpoint", str(tmp_path / file), "--out", str(tmp_path / out)])
        assert said in capsys.readouterr().err
    (tmp_path / "x.pt").write_bytes(np.random.default_rng(0).bytes(200))
    with pytest.raises(SystemExit):
        main(["import-checkpoint", str(tmp_path / "x.pt"), "--out", str(tmp_path / "new")])
    assert "not a file of plain tensors" in capsys.readouterr().err
