"""`c2vl predict` and `c2vl search` compute what the pipeline computes, for files of all formats."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from pku_text import long_joints
from synthetic import BENCHMARK, CLASSES, WIDTH
from trained_project import write_project

from c2vl.cli import main
from c2vl.commands.recognition.nearest_samples import load_streams, nearest
from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.evaluation.encoded import load_encoded
from c2vl.evaluation.head_files import load_head

FRAMES = 8
WEIGHTS = {"joint": 0.6, "bone": 0.6, "motion": 0.4}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("project"))


def somebody(frames: int = 20, seed: int = 0) -> np.ndarray:
    return long_joints(seed, frames)[:, 0]


def test_predict_computes_fused_scores_of_the_heads(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Skeletons of the test split, as arrays, get the fused scores of the heads.

    The expected scores are computed here from the features of the stage `features`.
    """
    monkeypatch.chdir(project)
    samples = load_encoded(project / "results/features" / f"{BENCHMARK}-joint").test_samples
    rows = {
        row["sample"]: row
        for row in tables.rows_of(tables.read(project / "data/skeleton/S001C001.parquet"))
    }
    for number, sample in enumerate(samples):
        joints = np.asarray(rows[sample]["joints"]).reshape(-1, 2, 25, 3)
        np.save(
            tmp_path / f"{number:02}-{sample}.npy",
            np.moveaxis(joints + 3, 1, 0) if joints[:, 1].any() else joints[:, 0] + 3,
        )
    (tmp_path / "99.skeleton").write_bytes(b"broken")
    with pytest.raises(SystemExit) as end:
        main(["predict", str(tmp_path), "--json", "--top", "3"])
    out, errors = capsys.readouterr()
    assert end.value.code == 1
    assert (
        "99.skeleton: " in errors.splitlines()[0]
        and "1 of 17 files" in errors.splitlines()[1]
        and len(errors.splitlines()) == 2
    )
    answers = json.loads(out)
    assert "error" in answers.pop()
    fused = np.zeros((16, CLASSES))
    for stream, weight in WEIGHTS.items():
        head, _ = load_head(project / "results/evaluate/heads", f"{BENCHMARK}-{stream}")
        features = load_encoded(
            project / "results/features" / f"{BENCHMARK}-{stream}"
        ).features.test
        logits = ((features - head.mean) / head.scale) @ head.weight.T + head.bias
        fused += weight / 1.6 * logits
    fused = np.exp(fused - fused.max(1, keepdims=True))
    fused /= fused.sum(1, keepdims=True)
    for answer, scores in zip(answers, fused, strict=True):
        order = np.argsort(-scores)[:3]
        assert [action["label"] for action in answer["actions"]] == order.tolist()
        np.testing.assert_allclose(
            [action["score"] for action in answer["actions"]], scores[order], atol=1e-4
        )


def test_predict_prints_a_table_of_one_stream(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(project)
    np.save(tmp_path / "a.npy", somebody(30))
    main(["predict", str(tmp_path / "a.npy"), "--stream", "bone", "--part", "5:25", "--top", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("a.npy (20 frames, 1 person)")
    assert len(lines) == 3 and all("%  class" in line for line in lines[1:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["predict", "FILE", "--benchmark", "xview"],
            "no linear head for the benchmark 'xview'.*there are heads for xsub",
        ),
        (["predict", "absent.npy"], "absent.npy does not exist"),
        (["search", " "], "sentence is empty"),
        (["search", "drink", "--benchmark", "xset"], "no features for the benchmark 'xset'"),
        (
            ["export", "out", "--benchmark", "../pretrain/xsub"],
            "no encoder '../pretrain/xsub-joint'",
        ),
    ],
)
def test_missing_files_and_results_are_one_sentence(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(project)
    np.save(tmp_path / "a.npy", somebody())
    with pytest.raises(SystemExit):
        main(
            [str(tmp_path / "a.npy") if argument == "FILE" else argument for argument in arguments]
        )
    error = capsys.readouterr().err
    assert re.search(message, error) and len(error.splitlines()) == 1


def test_search_ranks_by_the_cosine_in_the_shared_space(project: Path) -> None:
    streams = load_streams(project / "results", BENCHMARK, None)
    sentence = np.random.default_rng(3).normal(size=WIDTH).astype(np.float32)
    expected: dict[str, float] = {}
    for stream, encoded in streams.items():
        heads = encoded.heads
        projected = (
            heads["prompt_heads.language.weight"] @ (sentence / np.linalg.norm(sentence))
            + heads["prompt_heads.language.bias"]
        )
        for samples, features in (
            (encoded.train_samples, encoded.features.train),
            (encoded.test_samples, encoded.features.test),
        ):
            for sample, feature in zip(samples, features, strict=True):
                shown = heads["skeleton_head.weight"] @ feature + heads["skeleton_head.bias"]
                cosine = projected @ shown / np.linalg.norm(projected) / np.linalg.norm(shown)
                expected[sample] = expected.get(sample, 0) + WEIGHTS[stream] / 1.6 * float(cosine)
    hits = nearest(sentence, streams, WEIGHTS, "all", 1000)
    assert len(hits) == len(expected) == 63
    for hit in hits:
        assert hit.score == pytest.approx(expected[hit.sample], abs=1e-5)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    test = nearest(sentence, streams, WEIGHTS, "test", 5)
    assert [hit.sample for hit in test] == [hit.sample for hit in hits if hit.split == "test"][:5]
    with pytest.raises(UserError, match="text encoder gives 7 numbers"):
        nearest(sentence[:7], streams, WEIGHTS)


def test_search_command_encodes_the_sentence_and_names_the_actions(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = np.random.default_rng(3).normal(size=WIDTH).astype(np.float16)

    class FixedEncoder:
        @staticmethod
        def texts(sentences: list[str]) -> tuple[np.ndarray, list[bool]]:
            assert sentences == ["somebody waves"]
            return sentence[None], [False]

        @staticmethod
        def known_words(words: list[str]) -> set[str]:
            return set(words)

    monkeypatch.setattr(
        "c2vl.prompts.engines.encoder.Encoder.load", lambda params, device: FixedEncoder
    )
    monkeypatch.chdir(project)
    main(
        [
            "search",
            "somebody waves",
            "--stream",
            "motion",
            "--split",
            "train",
            "--top",
            "4",
            "--json",
        ]
    )
    found = json.loads(capsys.readouterr().out)
    streams = load_streams(project / "results", BENCHMARK, "motion")
    expected = nearest(sentence.astype(np.float32), streams, WEIGHTS, "train", 4)
    assert [(hit["sample"], hit["split"], hit["action"]) for hit in found] == [
        (hit.sample, "train", f"class {hit.label}") for hit in expected
    ]
    main(["search", "somebody waves"])
    assert len(capsys.readouterr().out.splitlines()) == 10
