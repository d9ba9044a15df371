"""`c2vl predict` and `c2vl search` compute what the pipeline computes, for files of all formats."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from ntu_text import Record, text
from pku_text import long_joints, skeleton_text
from studio_skeletons import studio_files
from synthetic import BENCHMARK, CLASSES, WIDTH
from trained_project import write_project

from c2vl.cli import main
from c2vl.commands.recognition.nearest_samples import load_streams, nearest
from c2vl.commands.recognition.skeleton_inputs import find_files, read_clip
from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.datasets.skeleton_file import parse_skeleton
from c2vl.datasets.skeletons.actors import actors_of_slots
from c2vl.datasets.skeletons.denoise import denoise
from c2vl.evaluation.encoded import load_encoded
from c2vl.evaluation.head_files import load_head

FRAMES = 8
WEIGHTS = {"joint": 0.6, "bone": 0.6, "motion": 0.4}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("project"))


def somebody(frames: int = 20, seed: int = 0) -> np.ndarray:
    return long_joints(seed, frames)[:, 0]


def test_each_format_gives_the_joints_of_the_pipeline(tmp_path: Path) -> None:
    """The same body as NTU's text, PKU-MMD's and arrays of both shapes."""
    body = somebody()
    both = long_joints(1, 20, second=(5, 15))
    (tmp_path / "a.skeleton").write_bytes(
        text(20, [Record(frame, "72", joints) for frame, joints in enumerate(body)])
    )
    (tmp_path / "b.txt").write_bytes(skeleton_text(both))
    np.save(tmp_path / "c.npy", body)
    np.save(tmp_path / "d.npy", np.moveaxis(both, 1, 0))
    np.savez(tmp_path / "e.npz", joints=both)
    expected = body - body[0, 1]
    for name in ("a.skeleton", "c.npy"):
        clip = read_clip(tmp_path / name)
        np.testing.assert_allclose(clip.joints[:, 0], expected, atol=1e-6)
        assert clip.persons == 1 and not clip.joints[:, 1].any()
    for name in ("b.txt", "d.npy", "e.npz"):
        clip = read_clip(tmp_path / name)
        np.testing.assert_allclose(clip.joints, actors_of_slots(both).joints, atol=1e-6)
        assert clip.persons == 2
    np.testing.assert_allclose(
        read_clip(tmp_path / "b.txt", part=(6, 9)).joints[:, 0],
        (both - both[6, 0, 1])[6:9, 0],
        atol=1e-6,
    )
    np.testing.assert_array_equal(
        read_clip(tmp_path / "a.skeleton", solo="copy").joints[:, 1],
        read_clip(tmp_path / "c.npy").joints[:, 0],
    )


def one_gap() -> np.ndarray:
    joints = np.ones((4, 25, 3))
    joints[2, 3] = np.nan
    return joints


def test_studio_files_are_read_by_the_line(tmp_path: Path) -> None:
    for name, data, _ in studio_files(5, 2, 10):
        (tmp_path / f"{name}.skeleton").write_bytes(data)
        np.testing.assert_array_equal(
            read_clip(tmp_path / f"{name}.skeleton").joints, denoise(parse_skeleton(data)).joints
        )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.skeleton", b"3\n1\n", "truncated"),
        ("a.skeleton", b"", "empty"),
        ("a.txt", b"1 2 3\n", "150 numbers"),
        ("a.csv", b"1,2", r"end with \.csv are not read"),
        ("a.npy", b"", "NumPy's format"),
        ("a.npy", b"not an array", "NumPy's format"),
        ("a.npy", np.ones((4, 25, 2)), "a joint has 2 numbers, the skeleton ntu25 is 3D"),
        ("a.npy", np.zeros((30, 70, 25, 3)), "70 persons in 30 frames: the order of the axes"),
        ("a.npy", np.zeros((4, 25, 3)), "no joints"),
        ("a.npy", np.full((4, 25, 3), np.nan), "no joints"),
        ("a.npy", one_gap(), "joint 3 has no position in frame 2"),
        ("a.json", b'{"people": []}', "nobody"),
        ("a.npy", np.full((4, 25, 3), 1e300), "infinite"),
        ("a.npy", np.ones((4, 20, 3)) * np.arange(20)[:, None], "20 joints.*25"),
        ("a.npy", np.array([[["x"] * 3] * 25]), "numbers"),
        ("a.npy", np.array([{}], dtype=object), "never unpickled"),
    ],
)
def test_a_bad_file_is_one_sentence_that_names_it(
    tmp_path: Path, name: str, content: object, message: str
) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(UserError, match=f"{name}: .*{message}") as caught:
        read_clip(path)
    assert "\n" not in str(caught.value)


def test_a_part_outside_the_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", somebody())
    with pytest.raises(UserError, match="20 frames, so there is no part 5:21"):
        read_clip(tmp_path / "a.npy", part=(5, 21))


def test_a_folder_is_searched_for_skeletons_only(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    np.save(tmp_path / "deep" / "b.npy", somebody())
    (tmp_path / "a.txt").write_bytes(skeleton_text(long_joints(0, 3)))
    (tmp_path / "classes.txt").write_text("drink\neat\n")
    assert find_files([tmp_path]) == [tmp_path / "a.txt", tmp_path / "deep" / "b.npy"]
    assert find_files([tmp_path / "classes.txt"]) == [tmp_path / "classes.txt"], (
        "a file that is named is tried"
    )
    with pytest.raises(UserError, match="no skeleton file"):
        find_files([_empty(tmp_path / "none")])
    with pytest.raises(UserError, match="does not exist"):
        find_files([tmp_path / "absent.npy"])


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


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
