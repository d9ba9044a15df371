"""The stages with `caption.per: clip`: one sentence and K crops a clip, to the scores and back."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from dataset_stages import run_stage

from c2vl.cli import main
from c2vl.core import tables
from c2vl.core.files import write_json
from c2vl.core.tables.class_list import read_class_list
from c2vl.evaluation.encoded import load_encoded
from c2vl.evaluation.evaluate_params import EvaluateParams, LinearParams
from c2vl.evaluation.evaluation_tables import EvaluationTables
from c2vl.models.read_prompts import of_clips, read_prompts
from c2vl.report import ReportParams
from c2vl.report.gallery import gallery
from c2vl.report.pipeline_outputs import PipelineOutputs
from c2vl.studio.dataset import simulate
from c2vl.studio.studio_params import StudioParams

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
K = 3
WORLD = {
    "seed": 3,
    "setups": 1,
    "subjects": 4,
    "repetitions": 1,
    "height": 108,
    "frames_per_second": 15,
    "broken": 0,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project that ran from the raw files to the scores."""
    folder = tmp_path_factory.mktemp("clips")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"HOME": "home", "DEVICE": "cpu", "WORKERS": "1"}.items():
            patch.setenv(f"C2VL_{name}", value)
        patch.delenv("C2VL_STORE", raising=False)
        patch.chdir(folder)
        (folder / "checkpoints").symlink_to(ROOT / "checkpoints")
        actions = ["drink water", "sit down"]
        simulate(StudioParams(**WORLD, actions=actions), Path("data/studio"), Path("truth/studio"))
        Path("params.yaml").write_text(yaml.safe_dump(params()), encoding="utf-8")
        for stage in ("index", "skeleton", "crop", "caption"):
            run_stage(stage)
        for knowledge in ("vision", "language"):
            run_stage("embed", knowledge)
        run_stage("pretrain", "xsub", "joint")
        yield folder


def params() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "profiles/demo.yaml").read_text("utf-8"))
    found["data"] |= {"benchmarks": ["xsub"], "train_subjects": [1, 2, 3]}
    found["crop"]["frames_per_clip"] = K
    found["caption"] |= {"per": "clip"}
    found["pretrain"] |= {
        "epochs": 1,
        "batch": 4,
        "milestones": [],
        "warmup_epochs": 0,
        "probe_every": 0,
        "prompts": "random",
        "tracker": "none",
    }
    found["pretrain"]["encoder"] |= {"width": 4, "blocks": 3}
    return found


def rows(folder: str) -> list[dict[str, Any]]:
    path = Path(folder)
    single = path.with_suffix(".parquet")
    return list(tables.rows_of(tables.read(single if single.is_file() else path)))


def test_a_clip_has_one_sentence_one_language_feature_and_k_vision_features(project: Path) -> None:
    samples = [row["sample"] for row in rows("data/index/index")]
    for out in ("data/caption", "data/embed/language"):
        assert [(row["sample"], row["k"]) for row in rows(out)] == [(one, None) for one in samples]
    vision = [(row["sample"], row["k"]) for row in rows("data/embed/vision")]
    assert vision == [(one, k) for one in samples for k in range(K)]
    assert of_clips(Path("data/embed/language")) and not of_clips(Path("data/embed/vision"))


def test_training_pairs_the_sentence_with_each_crop(project: Path) -> None:
    prompts = read_prompts(
        Path("data"),
        [row["sample"] for row in rows("data/index/index")],
        ("vision", "language"),
        "cpu",
    )
    language = {row["sample"]: row["feature"] for row in rows("data/embed/language")}
    assert prompts.valid.shape[1] == K and prompts.valid.all()
    given = prompts.features["language"].tensor.view(len(language), K, -1)
    for k in range(K):
        assert (given[:, k].numpy() == list(language.values())).all()
    config = json.loads(Path("results/pretrain/xsub-joint/config.json").read_text())
    assert set(config["prompts"]) == {"vision", "language"} and config["left_out"] == 0


def test_evaluation_ranks_the_sentences_of_clips(project: Path) -> None:
    run_stage("class_names")
    run_stage("features", "xsub", "joint")
    evaluate = runpy.run_path(str(ROOT / "stages/evaluate.py"))["evaluate_encoder"]
    found = EvaluationTables(read_class_list(Path("data")))
    encoded = load_encoded(Path("results/features/xsub-joint"))
    settings = EvaluateParams(linear=LinearParams(epochs=1, milestones=[]))
    evaluate(encoded, settings, found, torch.device("cpu"))
    ranked = found.metrics["retrieval"]["xsub"]["joint"]["c2vl"]
    sentences = {row["sample"]: row["answer"] for row in rows("data/caption")}
    assert ranked["clips"] == len(encoded.test_samples)
    assert ranked["sentences"] == len({sentences[one] for one in encoded.test_samples})


def test_an_answer_counts_once_and_stands_at_every_frame(project: Path) -> None:
    run_stage("score")
    scores = json.loads(Path("results/scores/scores.json").read_text())
    clips = len(rows("data/index/index"))
    assert scores["captioner"]["frames"] == clips and scores["captioner"]["frames_not_asked"] == 0
    assert scores["prompts"]["answers"]["answers"] == clips
    frames = rows("results/scores/frames")
    assert len(frames) == K * clips
    answers = {row["sample"]: row["answer"] for row in rows("data/caption")}
    assert all(frame["answer"] == answers[frame["sample"]] for frame in frames)
    for sample in answers:  # the action, not the waiting before and after it
        true = {frame["phrase_true"] for frame in frames if frame["sample"] == sample}
        assert len(true) == 1 and (true != {"wait"} or sample in only_waiting())


def test_the_gallery_shows_the_answer_of_the_clip_beside_its_truth(project: Path) -> None:
    run_stage("score")
    write_json(Path("results/evaluate/metrics.json"), {"samples": {}})
    cards, _ = gallery(PipelineOutputs(), Path("data/studio"), ReportParams(gallery=4))
    answers = {row["sample"]: row["answer"] for row in rows("data/caption")}
    true = {(row["sample"], row["k"]): row["sentence"] for row in rows("results/scores/frames")}
    assert cards
    for card in cards:
        said = "".join(text for text, _ in card.answer)
        assert said == answers[card.choice.sample]
        assert card.sentence == true[card.choice.sample, card.choice.k]


def only_waiting() -> set[str]:
    """Clips of whose sampled frames all show that people wait."""
    truth: dict[tuple[str, int], set[str]] = {}
    for row in rows("truth/studio/people"):
        truth.setdefault((row["sample"], row["frame"]), set()).add(row["phrase"])
    shown: dict[str, set[bool]] = {}
    for row in rows("data/crop"):
        waits = truth[row["sample"], row["frame"]] == {"wait"}
        shown.setdefault(row["sample"], set()).add(waits)
    return {sample for sample, waits in shown.items() if waits == {True}}


def test_the_commands_know_clips(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["quality"])
    assert "answers, answers" in capsys.readouterr().out
    main(["show", rows("data/index/index")[0]["sample"]])
    main(["failures"])
    assert "caption: 0 rows without a result" in capsys.readouterr().out
    main(["why", "caption"])
    assert "computes 0" in capsys.readouterr().out
    changed = params()
    changed["caption"]["clip_question"] = "What happens first?"
    Path("params.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
    main(["why", "caption"])
    assert "computes 24" in capsys.readouterr().out
