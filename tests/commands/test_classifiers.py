"""Which classifier of a run the commands take, and that one folder holds the fusion."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic import BENCHMARK, CLASSES, write_data
from trained_project import FRAMES, write_project

from c2vl.cli import main
from c2vl.commands.recognition.classifiers import choose, load_classifier
from c2vl.core.errors import UserError
from c2vl.core.files import write_json
from c2vl.evaluation.evaluate_params import FusionParams
from c2vl.models.encoders.registry import STGCNParams
from c2vl.training.checkpoint import EncoderConfig, save_checkpoint

FUSION = FusionParams()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pretrained streams with heads, a finetuned joint stream, two transferred streams."""
    root = write_project(tmp_path_factory.mktemp("project"))
    write_data(root / "data/targets/elsewhere", clips=8)
    finetuned(root / "results/finetune/full" / f"{BENCHMARK}-joint", "joint")
    for stream in ("joint", "bone"):
        finetuned(root / "results/finetune/transfer/elsewhere" / stream, stream)
    about = {"dataset": "pku2", "benchmark": BENCHMARK}
    write_json(root / "results/finetune/transfer/elsewhere/metrics.json", about)
    return root


def finetuned(folder: Path, stream: str) -> None:
    torch.manual_seed(7)
    config = EncoderConfig.model_validate(
        {
            "method": "c2vl",
            "benchmark": BENCHMARK,
            "stream": stream,
            "seed": 0,
            "encoder": STGCNParams(width=4, blocks=3),
            "frames": FRAMES,
            "classes": CLASSES,
        }
    )
    save_checkpoint(folder, config.build(), config, [])


def chosen(project: Path, source: str | None = None, stream: str | None = None) -> tuple[str, str]:
    found, why = choose(project / "results", project / "data", BENCHMARK, source, stream)
    return str(found), why


def test_the_most_accurate_is_taken_and_the_reason_said(project: Path) -> None:
    assert chosen(project) == (
        f"pretrained, {BENCHMARK}, fusion",
        f"pretrained, {BENCHMARK}, fusion (nothing is measured yet)",
    )
    linear = {"joint": 0.5, "bone": 0.6, "motion": 0.7, "fusion": 0.7}
    metrics = {stream: {"c2vl": {"top1": value}} for stream, value in linear.items()}
    evaluate = project / "results/evaluate/metrics.json"
    protocols = project / "results/protocols/metrics.json"
    try:
        write_json(evaluate, {"linear": {BENCHMARK: metrics}})
        name, why = chosen(project)
        assert name.endswith("fusion"), "it wins a tie"
        assert why.endswith("fusion: 70.0 % of the test split, the highest of 5")
        write_json(protocols, {"finetune": {BENCHMARK: {"joint": {"c2vl": {"top1": 0.9}}}}})
        assert chosen(project)[0] == f"finetune, {BENCHMARK}, joint"
        assert chosen(project, "pretrained", "bone")[0] == f"pretrained, {BENCHMARK}, bone"
    finally:
        for path in (evaluate, protocols):
            path.unlink(missing_ok=True)


def test_a_transferred_classifier_is_taken_only_by_name(project: Path) -> None:
    name, _ = chosen(project, "transfer:elsewhere")
    assert name == f"transfer:elsewhere, {BENCHMARK}, fusion"
    found, _ = choose(project / "results", project / "data", "xset", "transfer:elsewhere", None)
    recogniser = load_classifier(project / "results", project / "data", found, FUSION)
    assert len(recogniser.classes) == CLASSES
    clip = np.random.default_rng(0).normal(size=(20, 2, 25, 3)).astype(np.float32)
    scores = recogniser.scores([clip])
    assert scores.shape == (1, CLASSES) and scores.sum() == pytest.approx(1, abs=1e-5)


def test_a_finetuned_network_gives_the_scores_of_its_own_classifier(project: Path) -> None:
    from c2vl.models.ragged import RaggedSkeletons
    from c2vl.training.checkpoint import load_checkpoint
    from c2vl.training.finetuning.finetune import class_scores

    found, _ = choose(project / "results", project / "data", BENCHMARK, "finetune", None)
    recogniser = load_classifier(project / "results", project / "data", found, FUSION)
    clip = np.random.default_rng(1).normal(size=(20, 2, 25, 3)).astype(np.float32)
    network = load_checkpoint(project / "results/finetune/full" / f"{BENCHMARK}-joint").network
    clips = RaggedSkeletons.from_clips([clip])
    expected = class_scores(network, clips, "joint", FRAMES)
    np.testing.assert_allclose(recogniser.scores([clip]), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("source", "stream", "message"),
    [
        ("finetune", "bone", "no classifier of the stream 'bone'.*there are joint"),
        ("transfer:nowhere", None, "'transfer:nowhere'; there is transfer:elsewhere"),
        ("transfer:../full", None, "no transferred encoder"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    project: Path, source: str, stream: str | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        choose(project / "results", project / "data", BENCHMARK, source, stream)


@pytest.mark.slow
def test_one_folder_holds_the_fusion(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card's program, without torch and c2vl, gives the scores of `c2vl predict`."""
    monkeypatch.chdir(project)
    out = tmp_path / "fused"
    main(["export", str(out)])
    card = (out / "README.md").read_text()
    for said in ("in metres", "y points up", "3 head", "0. class 0", "joint 0.6, bone 0.6"):
        assert said in card
    assert json.loads((out / "config.json").read_text())["fusion"]["weights"] == FUSION.weights
    rng = np.random.default_rng(5)
    joints = rng.normal(scale=0.02, size=(2, 30, 25, 3)).cumsum(1).astype(np.float32) + 1
    np.save(tmp_path / "clip.npy", joints)
    first, second = re.findall(r"```python\n(.*?)```", card, re.S)
    widths = json.loads((out / "config.json").read_text())["prompts"]["widths"]
    text = rng.normal(size=widths["language"])
    np.save(tmp_path / "text.npy", text.astype(np.float32))
    code = "import sys\nsys.modules['torch'] = sys.modules['c2vl'] = None\n"
    code += first.replace('"clip.npy"', repr(str(tmp_path / "clip.npy")))
    code += f"\ntext = np.load({str(tmp_path / 'text.npy')!r})\n{second}"
    code += f"\nnp.savez({str(tmp_path / 'found.npz')!r}, scores=scores, similarity=similarity)\n"
    subprocess.run([sys.executable, "-I", "-c", code], cwd=out, check=True, timeout=120)
    found = np.load(tmp_path / "found.npz")
    best, _ = choose(project / "results", project / "data", BENCHMARK, None, None)
    recogniser = load_classifier(project / "results", project / "data", best, FUSION)
    clip = np.moveaxis(joints, 0, 1)
    expected = recogniser.scores([clip - clip[0, 0, 1]])
    np.testing.assert_allclose(found["scores"], expected, atol=1e-4)
    assert found["similarity"].shape == (1,) and abs(found["similarity"][0]) <= 1
