"""An exported folder computes what the pipeline computes, without torch and without c2vl."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn

from c2vl.commands.exporting.folder import export, exported_network
from c2vl.commands.exporting.network import ExportedNetwork
from c2vl.commands.exporting.onnx_file import TOLERANCE, difference, moving
from c2vl.core.errors import UserError
from c2vl.core.layout_file import shipped_layout
from c2vl.evaluation.linear import LinearHead
from c2vl.models.encode import encode
from c2vl.models.encoders.registry import (
    CTRGCNParams,
    GRUParams,
    MSG3DParams,
    STGCNParams,
    TransformerParams,
    build_encoder,
)
from c2vl.models.graph import NTU25
from c2vl.models.ragged import RaggedSkeletons
from c2vl.models.views import test_view as middle_view
from c2vl.prompts.engines.encoder import EncoderParams
from c2vl.training.checkpoint import Checkpoint, EncoderConfig
from c2vl.training.objective.embeddings import AlignedEncoder

FRAMES, CLASSES = 4, 4
ENCODERS = (
    STGCNParams(width=4, blocks=3),
    STGCNParams(width=4, blocks=3, partition="published", last_width=6, relative=True),
    CTRGCNParams(width=4, blocks=3, persons="present"),
    MSG3DParams(width=6, blocks=1, spatial_scales=3, window_scales=2),
    GRUParams(width=4, layers=1, reading="both"),
    TransformerParams(width=4, frames=FRAMES),
)


class SideBySide(nn.Module):
    """All encoders as one, because each export takes seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(build_encoder(params) for params in ENCODERS)
        self.features = sum(int(encoder.features) for encoder in self.encoders)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([encoder(x) for encoder in self.encoders], 1)


def clip(frames: int, seed: int, persons: int = 1) -> np.ndarray:
    """(T, 2, 25, 3), not centred."""
    rng = np.random.default_rng(seed)
    joints = (
        rng.normal(scale=0.3, size=(frames, 2, 25, 3)).cumsum(0) * 0.1
        + rng.normal(size=(1, 2, 25, 3))
        + (0, 0, 3)
    )
    joints[:, persons:] = 0
    return joints.astype(np.float32)


def centred(joints: np.ndarray) -> np.ndarray:
    return np.where(joints.any(axis=(2, 3), keepdims=True), joints - joints[0, 0, 1], 0).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Checkpoint, LinearHead]:
    torch.manual_seed(0)
    network = AlignedEncoder(SideBySide(), {"language": 8}, 6)
    for module in network.modules():
        if isinstance(
            module, nn.BatchNorm1d | nn.BatchNorm2d
        ):  # statistics that were learnt, not the initial ones
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    config = EncoderConfig(
        method="c2vl",
        benchmark="xsub",
        stream="bone",
        seed=0,
        encoder=ENCODERS[-1],
        frames=FRAMES,
        prompts={"language": 8},
        clips=3,
        training={"epochs": 2},
    )
    rng = np.random.default_rng(0)
    shapes = ((CLASSES, network.encoder.features), (CLASSES,), (network.encoder.features,))
    weight, bias, mean = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
    head = LinearHead(weight, bias, mean, np.full(mean.shape, 3, np.float32))
    checkpoint = Checkpoint(network.eval(), config)
    out = tmp_path_factory.mktemp("exported") / "encoder"
    about = {"classes": [f"class {label}" for label in range(CLASSES)], "top1": 0.5}
    export(
        out,
        checkpoint,
        "studio",
        head,
        about,
        EncoderParams(model=str(out / "clip"), revision="abc", dtype="float32"),
    )
    return out, checkpoint, head


def run_program_of_card(out: Path, joints: np.ndarray, folder: Path) -> dict[str, np.ndarray]:
    """Outputs of the card's program, run where torch and c2vl cannot be imported.

    `joints` is (persons, T, 25, 3).
    """
    program = re.search(r"```python\n(.*?)```", (out / "README.md").read_text(), re.S)
    assert program is not None
    np.save(folder / "clip.npy", joints)
    code = program[1].replace('"clip.npy"', repr(str(folder / "clip.npy")))
    code = f"import sys\nsys.modules['torch'] = sys.modules['c2vl'] = None\n{code}\n"
    outputs = "features=features, embedding=embedding, scores=scores"
    code += f"np.savez({str(folder / 'found.npz')!r}, {outputs})\n"
    subprocess.run([sys.executable, "-I", "-c", code], cwd=out, check=True, timeout=120)
    return dict(np.load(folder / "found.npz"))


@pytest.mark.slow
def test_the_program_of_the_card_computes_what_the_pipeline_computes(
    exported: tuple[Path, Checkpoint, LinearHead], tmp_path: Path
) -> None:
    out, checkpoint, head = exported
    for number, (frames, persons) in enumerate(((57, 1), (9, 2))):
        joints = clip(frames, number, persons)
        skeletons = RaggedSkeletons.from_clips([centred(joints)])
        features = encode(checkpoint.encoder, skeletons, "bone", FRAMES).numpy()
        logits = (features - head.mean) / head.scale @ head.weight.T + head.bias
        scores = np.exp(logits) / np.exp(logits).sum()
        state = {name: value.numpy() for name, value in checkpoint.network.state_dict().items()}
        embedded = features @ state["skeleton_head.weight"].T + state["skeleton_head.bias"]
        found = run_program_of_card(out, np.moveaxis(joints, 1, 0)[:persons], tmp_path)
        np.testing.assert_allclose(found["features"], features, atol=1e-4)
        np.testing.assert_allclose(found["scores"], scores, atol=1e-4)
        np.testing.assert_allclose(
            found["embedding"], embedded / np.linalg.norm(embedded), atol=1e-4
        )


@pytest.mark.slow
def test_the_second_program_of_the_card_compares_with_sentences(
    exported: tuple[Path, Checkpoint, LinearHead], monkeypatch
) -> None:
    out, checkpoint, _ = exported
    card = (out / "README.md").read_text()
    programs = re.findall(r"```python\n(.*?)```", card, re.S)
    rng = np.random.default_rng(1)
    text, embedding = (rng.normal(size=size).astype(np.float32) for size in ((8,), (3, 6)))
    given: dict[str, Any] = {"np": np, "text": text, "embedding": embedding}
    monkeypatch.chdir(out)
    exec(programs[1], given)
    with torch.inference_mode():
        projected = checkpoint.network.embed_prompts(
            "language", torch.from_numpy(text / np.linalg.norm(text))[None]
        )[0]
    np.testing.assert_allclose(given["similarity"], embedding @ projected.numpy(), atol=1e-5)
    assert "(8 numbers) of `clip` at `abc`" in card, "the model's name without its folder"


@pytest.mark.slow
def test_a_batch_gives_the_results_of_its_clips(
    exported: tuple[Path, Checkpoint, LinearHead],
) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported[0] / "model.onnx"))
    batch = np.stack([clip(40, 5, 1), clip(40, 6, 2), clip(40, 7, 1)])
    together = session.run(None, {"joints": batch})
    each = [session.run(None, {"joints": one[None]}) for one in batch]
    for name, values in enumerate(together):
        np.testing.assert_allclose(values, np.concatenate([one[name] for one in each]), atol=1e-5)


@pytest.mark.slow
def test_the_folder_is_complete_and_names_no_folder_of_this_machine(
    exported: tuple[Path, Checkpoint, LinearHead],
) -> None:
    out, checkpoint, head = exported
    assert {path.name for path in out.iterdir()} == {
        "model.onnx",
        "model.safetensors",
        "config.json",
        "README.md",
    }
    config = json.loads((out / "config.json").read_text())
    assert config["graph"]["parents"] == list(NTU25.parents)
    assert [output["name"] for output in config["outputs"]] == ["features", "embedding", "scores"]
    assert config["onnx"]["largest_difference"] <= TOLERANCE
    weights = load_file(out / "model.safetensors")
    np.testing.assert_array_equal(weights["linear.weight"], head.weight)
    for name, value in checkpoint.network.state_dict().items():
        np.testing.assert_array_equal(weights[name], value.numpy())
    for path in out.iterdir():
        content = path.read_bytes()
        for place in (
            "site-packages",
            str(Path(__file__).resolve().parents[2]),
            str(Path.home()),
        ):
            assert place.encode() not in content, f"{path.name} names {place}"
    assert "3. class 3" in (out / "README.md").read_text()


@pytest.mark.slow
def test_an_existing_folder_is_not_changed(
    exported: tuple[Path, Checkpoint, LinearHead],
) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in exported[0].iterdir()}
    with pytest.raises(UserError, match="exists already"):
        export(exported[0], exported[1], "studio")
    assert {path.name: path.stat().st_mtime_ns for path in exported[0].iterdir()} == before


def test_a_folder_that_cannot_be_created_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = EncoderConfig(
        method="random",
        benchmark="xsub",
        stream="joint",
        seed=0,
        encoder=ENCODERS[0],
        frames=FRAMES,
    )
    with pytest.raises(UserError, match=r"file/out cannot be created \(.+\); name a folder"):
        export(tmp_path / "file" / "out", Checkpoint(config.build().eval(), config), "studio")


def test_the_exported_pre_processing_equals_that_of_the_pipeline() -> None:
    """Centre, middle 95 % and resizing, for every length that changes what is cut at the ends."""
    network = ExportedNetwork(nn.Identity(), shipped_layout("ntu25"), "joint", FRAMES)
    for frames in [*range(1, 45), 79, 80, 81, 300]:
        joints = clip(frames, frames, 1 + frames % 2)
        expected = middle_view(
            RaggedSkeletons.from_clips([centred(joints)]), torch.tensor([0]), FRAMES
        )
        torch.testing.assert_close(
            network.view(torch.from_numpy(joints)[None]), expected, atol=2e-5, rtol=1e-4
        )


def test_a_wrong_onnx_file_is_noticed() -> None:
    torch.manual_seed(0)
    config = EncoderConfig(
        method="random",
        benchmark="xsub",
        stream="joint",
        seed=0,
        encoder=ENCODERS[0],
        frames=FRAMES,
    )
    network = exported_network(Checkpoint(config.build().eval(), config), None)
    assert network.outputs == ["features"]

    class Session:
        def __init__(self, error: float) -> None:
            self.error = error

        def run(self, names: None, inputs: dict[str, Any]) -> list[np.ndarray]:
            with torch.inference_mode():
                return [
                    (value + self.error).numpy()
                    for value in network(torch.from_numpy(inputs["joints"]))
                ]

    assert difference(network, Session(0)) == 0
    assert np.abs(np.diff(moving(2, 300, shipped_layout("ntu25"), 0), axis=1)).max() < 0.2, (
        "metres from frame to frame, as people move"
    )
    assert difference(network, Session(1e-3)) == pytest.approx(1e-3, rel=0.01)
