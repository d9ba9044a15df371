"""Protocols and metrics against worked cases and scikit-learn; the stages run end to end."""

from __future__ import annotations

import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
import yaml
from synthetic import BENCHMARK, CLASSES, PARAMS, WIDTH, write_data

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.evaluation.calibration import calibration_error, reliability
from c2vl.evaluation.encoded import Encoded, load_encoded, save_encoded
from c2vl.evaluation.evaluate_params import LinearParams
from c2vl.evaluation.evaluation_tables import EvaluationTables
from c2vl.evaluation.features import Features
from c2vl.evaluation.frozen_features import frozen_features
from c2vl.evaluation.fusion import fuse, fuse_streams, logits_of, softmax
from c2vl.evaluation.head_files import load_head
from c2vl.evaluation.knn import knn_evaluation
from c2vl.evaluation.linear import linear_evaluation
from c2vl.evaluation.pair_similarity import pair_similarities
from c2vl.evaluation.retrieval import both_ways, ranks
from c2vl.evaluation.shared_space import class_name_features, zero_shot_scores
from c2vl.experiments.compare import Run, finished, keep, markdown, run_key, summarise
from c2vl.models.clips import load_clips
from c2vl.models.encoders.registry import build_encoder
from c2vl.models.prompt_features import Prompts
from c2vl.prompts.class_names import ClassNamesParams, write_class_names
from c2vl.training.metrics import best, mean_class, per_class, spread, top1, top_k

ROOT = Path(__file__).resolve().parents[2]


def blobs(seed: int = 0, spread: float = 1.0) -> Features:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(6, 10)) * 2
    train_labels, test_labels = np.arange(240) % 6, np.arange(90) % 6
    train, test = (
        centres[labels] + rng.normal(scale=spread, size=(len(labels), 10))
        for labels in (train_labels, test_labels)
    )
    scale = 10.0 ** np.arange(-3, 7)  # features of very different size
    return Features(
        (train * scale).astype(np.float32),
        train_labels,
        (test * scale).astype(np.float32),
        test_labels,
    )


def test_linear_evaluation_agrees_with_another_solver() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = blobs(spread=1.8)
    result = linear_evaluation(features, 6, LinearParams(), seed=0)
    other = make_pipeline(StandardScaler(), LogisticRegression(C=1e4, max_iter=2000)).fit(
        features.train, features.train_labels
    )
    agreement = (result.scores.argmax(1) == other.predict(features.test)).mean()
    assert agreement > 0.95
    assert 0.5 < top1(features.test_labels, result.scores.argmax(1)) < 0.99
    np.testing.assert_allclose(result.scores.sum(1), 1, atol=1e-5)
    assert result.best_on_test >= top1(features.test_labels, result.scores.argmax(1))
    np.testing.assert_array_equal(
        result.scores, linear_evaluation(features, 6, LinearParams(), seed=0).scores
    )


def test_knn_is_the_nearest_by_cosine() -> None:
    features = blobs()
    result = knn_evaluation(features)
    for row, query in enumerate(features.test.astype(np.float64)):
        cosines = [
            query @ x / np.linalg.norm(query) / np.linalg.norm(x)
            for x in features.train.astype(np.float64)
        ]
        assert result.similarity[row] == pytest.approx(max(cosines), abs=1e-5)
        assert result.predictions[row] == features.train_labels[int(np.argmax(cosines))]


def test_metrics_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 2, 2])
    scores = np.array(
        [
            [0.6, 0.3, 0.1],
            [0.2, 0.5, 0.3],
            [0.5, 0.3, 0.2],
            [0.4, 0.3, 0.3],
            [0.1, 0.2, 0.7],
            [0.3, 0.4, 0.3],
        ]
    )
    predictions = scores.argmax(1)  # 0 1 0 0 2 1
    assert top1(labels, predictions) == pytest.approx(3 / 6)
    assert per_class(labels, predictions) == pytest.approx({0: 2 / 3, 1: 0.0, 2: 0.5})
    assert mean_class(labels, predictions) == pytest.approx((2 / 3 + 0 + 0.5) / 3)
    assert top_k(labels, scores, 3) == 1.0
    assert top_k(labels[:3], scores[:3], 2) == pytest.approx(2 / 3)
    assert best(scores, 2)[[0, 3]].tolist() == [[0, 1], [0, 1]]


def test_fusion_weighs_the_streams() -> None:
    joint, motion = np.array([[0.9, 0.1]]), np.array([[0.2, 0.8]])
    weights = {"joint": 0.6, "bone": 0.6, "motion": 0.4}
    logits = {"joint": logits_of(joint), "motion": logits_of(motion) + 7}  # a row's constant
    np.testing.assert_allclose(fuse(logits, weights, "softmax"), [[0.62, 0.38]])
    odds = (0.9 / 0.1) ** 0.6 * (0.2 / 0.8) ** 0.4  # by hand: logits are logarithms of odds
    np.testing.assert_allclose(fuse(logits, weights), [[odds / (1 + odds), 1 / (1 + odds)]])
    with pytest.raises(ValueError, match="weights"):
        fuse({"joint": joint}, {"bone": 1.0})


def test_fusion_ranks_as_the_published_scripts_do() -> None:
    """AimCLR's and CTR-GCN's scripts: r = r11 * 0.6 + r22 * 0.6 + r33 * 0.4, its argmax and top 5.

    A stream that is sure of its answer outvotes two that are not; softmax scores hide that.
    """
    generator = np.random.default_rng(0)
    logits = {
        name: generator.normal(size=(200, 60)).astype(np.float32) * 4
        for name in ("joint", "bone", "motion")
    }
    weights = {"joint": 0.6, "bone": 0.6, "motion": 0.4}
    published = 0.6 * logits["joint"] + 0.6 * logits["bone"] + 0.4 * logits["motion"]
    fused = fuse(logits, weights)
    assert fused.sum(1) == pytest.approx(1)
    assert fused.argmax(1).tolist() == published.argmax(1).tolist()
    assert np.argsort(fused)[:, -5:].tolist() == np.argsort(published)[:, -5:].tolist()
    assert (fuse(logits, weights, "softmax").argmax(1) != published.argmax(1)).any()
    kept = {name: softmax(values) for name, values in logits.items()}  # as finetuning keeps them
    again = fuse({name: logits_of(values) for name, values in kept.items()}, weights)
    np.testing.assert_allclose(again, fused, rtol=1e-5)
    same = fuse(dict.fromkeys(weights, logits["joint"]), weights)
    np.testing.assert_allclose(same, softmax(logits["joint"]), rtol=1e-5)


def test_fusion_agrees_with_scikit_learns_soft_voting() -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.ensemble import VotingClassifier
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier

    features, weights = blobs(spread=3.0), {"joint": 0.6, "bone": 0.6, "motion": 0.4}
    classifiers = (GaussianNB(), KNeighborsClassifier(5), LinearDiscriminantAnalysis())
    named = list(zip(weights, classifiers, strict=True))
    voting = VotingClassifier(named, voting="soft", weights=list(weights.values())).fit(
        features.train, features.train_labels
    )
    scores = {
        name: one.predict_proba(features.test) for name, one in voting.named_estimators_.items()
    }
    logits = {name: logits_of(values) for name, values in scores.items()}
    voted = fuse(logits, weights, "softmax")
    np.testing.assert_allclose(voted, voting.predict_proba(features.test), rtol=1e-5)
    equal = VotingClassifier(named, voting="soft").fit(features.train, features.train_labels)
    np.testing.assert_allclose(
        fuse_streams(logits, weights, "softmax")["fusion_equal"],
        equal.predict_proba(features.test),
        rtol=1e-5,
    )


def test_frozen_means_frozen(tmp_path: Path) -> None:
    """No weight or BatchNorm statistic changes; a clip's features do not depend on its batch."""
    write_data(tmp_path)
    train, test = (load_clips(tmp_path, BENCHMARK, split, "cpu") for split in ("train", "test"))
    encoder = build_encoder(PARAMS.encoder).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    features = frozen_features(encoder, train, test, "joint", 16)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert features.train.shape == (len(train), encoder.features)
    swapped = frozen_features(encoder, test, train, "joint", 16)
    np.testing.assert_allclose(features.test, swapped.train, atol=1e-6)


def test_summary_is_mean_and_sample_deviation_with_paired_gain(tmp_path: Path) -> None:
    def seed(value: float) -> Run:
        return Run({"linear": {"top1": value, "top5": 1.0}, "knn": {"top1": value / 2}})

    summary = summarise({"c2vl": [seed(0.6), seed(0.8)], "infonce": [seed(0.5), seed(0.6)]})
    assert summary["methods"]["c2vl"]["linear"]["top1"] == {
        "mean": pytest.approx(0.7),
        "std": pytest.approx(0.02**0.5),
        "values": [0.6, 0.8],
    }
    assert summary["gain"]["linear"]["top1"]["values"] == pytest.approx([0.1, 0.2])
    assert "| c2vl | 70.0 ± 14.1 | 100.0 ± 0.0 | 35.0 ± 7.1 |  |" in markdown(summary, "title")
    assert "| c2vl | 60.0 | 100.0 | 30.0 |  |" in markdown(
        summarise({"c2vl": [seed(0.6)]}), "one seed has no deviation"
    )
    assert spread([0.5]) == {"mean": 0.5, "std": None, "values": [0.5]}
    path = tmp_path / "run.json"
    key = run_key({"a": 1}, "xsub", 0)
    assert finished(path, key) is None
    keep(path, key, seed(0.5))
    assert finished(path, key) == seed(0.5)
    assert finished(path, run_key({"a": 2}, "xsub", 0)) is None


def test_the_gain_has_an_interval_paired_by_seed_and_clip() -> None:
    """Runs that err on the same clips differ by little, however much the clips differ."""

    def of(right: list[int]) -> Run:
        metrics = {"linear": {"top1": float(np.mean(right))}}
        return Run.of(metrics, {"linear": np.array(right, bool)}, [1, 1, 2, 2, 3, 3])

    hard, ours = [1, 0, 1, 0, 0, 0], [1, 0, 1, 0, 1, 1]
    summary = summarise({"c2vl": [of(ours), of(ours)], "infonce": [of(hard), of(hard)]})
    low, high = summary["gain"]["linear"]["top1"]["interval"]
    assert low < 1 / 3 < high
    equal = summarise({"c2vl": [of(hard), of(hard)], "infonce": [of(hard), of(hard)]})
    assert equal["gain"]["linear"]["top1"]["interval"] == [0, 0]
    assert equal["methods"]["infonce"]["linear"]["top1"]["interval"][1] > 0.4
    assert "| c2vl - infonce | 0.0 [0.0, 0.0] |" in markdown(equal, "title")
    one_seed = summarise({"c2vl": [of(ours)], "infonce": [of(hard)]})
    assert one_seed["gain"]["linear"]["top1"]["interval"] is None


def write_names(data: Path) -> None:
    """Class names as the stage `class_names` writes them, of random features."""
    rng = np.random.default_rng(5)
    params = ClassNamesParams(templates=["{}", "to {}"])
    names = [f"class {label}" for label in range(CLASSES)]
    write_class_names(
        data / "class_names", names, params, lambda texts: rng.normal(size=(len(texts), WIDTH))
    )


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a stage's script with arguments in a folder of its own, in this process: it is fast."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("C2VL_WORKERS", "1")

    def run(script: str, *arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        runpy.run_path(str(ROOT / "stages" / script), run_name="__main__")

    return run


def test_stages_from_tables_to_metrics(tmp_path: Path, stage) -> None:
    samples = write_data(tmp_path / "data")
    sections = {
        "data": {"benchmarks": [BENCHMARK]},
        "pretrain": PARAMS.model_copy(update={"epochs": 2}).model_dump(mode="json"),
        "baselines": {"supervised": {"epochs": 2, "learning_rate": 0.1, "milestones": []}},
        "evaluate": {"linear": {"epochs": 3}},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(sections))
    for arguments in (
        *(("pretrain.py", BENCHMARK, stream) for stream in ("joint", "bone", "motion")),
        ("baselines.py", BENCHMARK),
    ):
        stage(*arguments)
    assert (
        json.loads((tmp_path / ".c2vl/runs/pretrain-xsub-bone.json").read_text())["left_out"] == 1
    )
    for stream in ("joint", "bone", "motion"):
        stage("features.py", BENCHMARK, stream)
    stage("baseline_features.py", BENCHMARK)
    write_names(tmp_path / "data")
    stage("evaluate.py")
    out = tmp_path / "results/evaluate"
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["settings"] == {
        "knn_neighbours": 1,
        "fusion": {"scores": "logits", "joint": 0.6, "bone": 0.6, "motion": 0.4},
    }
    assert metrics["samples"][BENCHMARK] == {
        "train": 47,
        "test": 16,
        "classes": CLASSES,
        "chance": 0.25,
    }
    assert set(metrics["linear"][BENCHMARK]) == {
        "joint",
        "bone",
        "motion",
        "fusion",
        "fusion_equal",
    }
    assert set(metrics["knn"][BENCHMARK]["joint"]) == {"c2vl", "infonce", "random", "supervised"}
    assert list(metrics["end_to_end"][BENCHMARK]["joint"]) == ["supervised"]
    predictions = tables.read(out / "predictions.parquet")
    rows = predictions.filter(
        pc.and_(
            pc.and_(
                pc.equal(predictions["protocol"], "linear"), pc.equal(predictions["method"], "c2vl")
            ),
            pc.equal(predictions["stream"], "fusion"),
        )
    ).to_pylist()
    assert len(rows) == 16
    right = sum(row["label"] == row["prediction"] for row in rows) / 16
    assert right == pytest.approx(metrics["linear"][BENCHMARK]["fusion"]["c2vl"]["top1"])
    assert all(
        row["top5"][0] == row["prediction"] and sorted(row["top5"]) == list(range(CLASSES))
        for row in rows
    )
    assert set(metrics["zero_shot"][BENCHMARK]["joint"]) == {"c2vl", "infonce"}
    assert metrics["retrieval"][BENCHMARK]["bone"]["c2vl"]["clips"] == 16
    head, about = load_head(out / "heads", f"{BENCHMARK}-joint")
    encoded = load_encoded(tmp_path / "results/features" / f"{BENCHMARK}-joint")
    logits = (encoded.features.test - head.mean) / head.scale @ head.weight.T + head.bias
    assert (logits.argmax(1) == encoded.features.test_labels).mean() == pytest.approx(about["top1"])
    assert about["classes"] == [f"class {label}" for label in range(CLASSES)]
    test_samples = {sample for number, sample in enumerate(samples) if number % 4 == 3}
    for name in ("predictions", "features", "similarity"):
        assert set(tables.read(out / f"{name}.parquet")["sample"].to_pylist()) == test_samples
    pairs = tables.read(out / "similarity.parquet").to_pylist()
    positive = [row for row in pairs if row["kind"] == "positive"]
    assert len(positive) == 16 * 2 * 2
    assert all(row["sample"] == row["other"] and row["same_class"] for row in positive)
    assert len(pairs) == 16 * 2 * 2 * 16  # a positive and 15 negatives each: no more clips
    assert {row["method"] for row in pairs} == {"c2vl", "infonce"}

    for path in (tmp_path / "data/embed").rglob(
        "*.parquet"
    ):  # as published answers leave it that cover the training split alone
        rows = tables.read(path)
        rows = rows.filter(pc.invert(pc.is_in(rows["sample"], pa.array(sorted(test_samples)))))
        tables.write(path, rows)
    stage("evaluate.py")
    without = json.loads((out / "metrics.json").read_text())
    assert without == metrics | {"retrieval": {}}
    assert not tables.read(out / "similarity.parquet").num_rows


def test_compare_goes_on_where_it_stopped(
    tmp_path: Path, stage, capsys: pytest.CaptureFixture[str]
) -> None:
    write_data(tmp_path / "data", clips=32)
    sections = {
        "pretrain": PARAMS.model_copy(update={"epochs": 1}).model_dump(mode="json"),
        "baselines": {"supervised": {"epochs": 1, "learning_rate": 0.1, "milestones": []}},
        "evaluate": {"linear": {"epochs": 2}},
        "data": {
            "dataset": "studio",
            "raw": "data/studio",
            "benchmarks": [BENCHMARK],
            "train_subjects": [1],
        },
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(sections))
    stage("compare.py", "--seeds", "2")
    start, _, first = capsys.readouterr().out.partition("\n")
    assert start == "8 runs: 0 kept from before, 8 to do"
    runs = tmp_path / "results/compare/runs"
    made = {path.name: path.stat().st_mtime_ns for path in runs.iterdir()}
    assert len(made) == 8
    (runs / "xsub-joint-infonce-1.json").unlink()
    stage("compare.py", "--seeds", "2")
    assert capsys.readouterr().out == "8 runs: 7 kept from before, 1 to do\n" + first
    kept = {path.name: path.stat().st_mtime_ns for path in runs.iterdir()}
    assert [name for name in made if made[name] != kept[name]] == ["xsub-joint-infonce-1.json"]
    summary = json.loads((tmp_path / "results/compare/compare.json").read_text())
    assert summary["seeds"] == [0, 1]
    (cell,) = summary["cells"]
    assert (cell["benchmark"], cell["stream"]) == ("xsub", "joint")
    assert set(cell["methods"]) == {"c2vl", "infonce", "supervised", "random"}
    assert "| c2vl |" in (tmp_path / "results/compare/compare.md").read_text()


def test_a_stage_without_data_is_one_sentence(
    tmp_path: Path, stage, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"pretrain": {}}))
    with pytest.raises(SystemExit, match="1"):
        stage("pretrain.py", BENCHMARK, "joint")
    told = capsys.readouterr().err
    assert told.startswith("c2vl: data/index/index.parquet")
    assert len(told.splitlines()) == 1


def test_knn_agrees_with_scikit_learn_for_several_neighbours() -> None:
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import normalize

    features = blobs(seed=3, spread=3.0)
    features = Features(
        features.train[:, 2:5], features.train_labels, features.test[:, 2:5], features.test_labels
    )
    for neighbours in (1, 5):
        other = KNeighborsClassifier(neighbours, metric="cosine", algorithm="brute")
        expected = other.fit(normalize(features.train), features.train_labels).predict(
            normalize(features.test)
        )
        np.testing.assert_array_equal(knn_evaluation(features, neighbours).predictions, expected)


def test_calibration_error_by_hand() -> None:
    scores = np.array([[0.95, 0.05], [0.9, 0.1], [0.45, 0.55], [0.2, 0.8]])
    labels = np.array([0, 1, 1, 0])
    bins = reliability(labels, scores, bins=10)
    # (0.9, 1.0]: 0.95, right; (0.8, 0.9]: 0.9, wrong;
    # (0.5, 0.6]: 0.55, right; (0.7, 0.8]: 0.8, wrong
    assert [(round(one.lower, 1), one.clips, one.accuracy) for one in bins if one.clips] == [
        (0.5, 1, 1.0),
        (0.7, 1, 0.0),
        (0.8, 1, 0.0),
        (0.9, 1, 1.0),
    ]
    assert calibration_error(bins) == pytest.approx((0.05 + 0.9 + 0.45 + 0.8) / 4)


def test_calibration_error_agrees_with_a_loop_over_the_bins() -> None:
    rng = np.random.default_rng(1)
    scores = rng.dirichlet(np.full(5, 0.4), size=400)
    labels = rng.integers(5, size=400)
    confidence, right = scores.max(1), scores.argmax(1) == labels
    expected = 0.0
    for k in range(15):
        chosen = [n for n in range(400) if k / 15 < confidence[n] <= (k + 1) / 15]
        if chosen:
            expected += (
                len(chosen) / 400 * abs(np.mean(right[chosen]) - np.mean(confidence[chosen]))
            )
    assert calibration_error(reliability(labels, scores)) == pytest.approx(expected)
    assert calibration_error(reliability(np.zeros(4, int), np.array([[1.0, 0.0]] * 4))) == 0.0


def test_reliability_agrees_with_scikit_learns_calibration_curve() -> None:
    from sklearn.calibration import calibration_curve

    rng = np.random.default_rng(7)
    scores = rng.dirichlet(np.full(4, 0.5), size=500)
    labels = np.where(rng.random(500) < 0.6, scores.argmax(1), rng.integers(4, size=500))
    accuracy, confidence = calibration_curve(scores.argmax(1) == labels, scores.max(1), n_bins=15)
    filled = [one for one in reliability(labels, scores) if one.clips]
    np.testing.assert_allclose([one.accuracy for one in filled], accuracy)
    np.testing.assert_allclose([one.confidence for one in filled], confidence)


def test_retrieval_by_hand() -> None:
    """Four clips, two of which share a sentence; unit vectors in the plane."""
    angle = np.deg2rad([0.0, 10.0, 90.0, 180.0])
    skeletons = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    said = np.deg2rad([5.0, 5.0, 178.0, 95.0])  # clips 2 and 3 are told as the other looks
    sentences = np.stack([np.cos(said), np.sin(said)], 1).astype(np.float32)
    groups, labels = np.array([7, 7, 3, 5]), np.array([0, 0, 1, 1])
    found = both_ways(skeletons, sentences, groups, labels)
    assert (found["clips"], found["sentences"]) == (4, 3)
    by_sentence, by_skeleton = found["sentence_to_skeleton"], found["skeleton_to_sentence"]
    # sentences 3 (of clip 2), 5 (of clip 3), 7 (of clips 0 and 1): their own clips come second,
    # second, first
    assert by_sentence["recall1"] == pytest.approx(1 / 3) and by_sentence["median_rank"] == 2
    assert by_sentence["recall5"] == 1 and by_sentence["same_class"] == 1
    assert by_skeleton["recall1"] == pytest.approx(2 / 4) and by_skeleton["median_rank"] == 1.5
    # one right of four for two sentences, two right for the third; three sentences, one right
    assert by_sentence["chance1"] == pytest.approx((1 / 4 + 1 / 4 + 2 / 4) / 3)
    assert by_skeleton["chance1"] == pytest.approx(1 / 3)


def test_ranks_agree_with_sorting_and_equal_similarities_count_against_us() -> None:
    rng = np.random.default_rng(2)
    queries, candidates = (
        rng.normal(size=(40, 6)).astype(np.float32),
        rng.normal(size=(25, 6)).astype(np.float32),
    )
    of_query, of_candidate = rng.integers(5, size=40), np.arange(25) % 5
    for query, (rank, nearest) in enumerate(
        zip(*ranks(queries, candidates, of_query, of_candidate), strict=True)
    ):
        order = np.argsort(-(candidates @ queries[query]))
        assert nearest == order[0]
        assert rank == 1 + next(
            at for at, candidate in enumerate(order) if of_candidate[candidate] == of_query[query]
        )
    collapsed = np.ones((10, 3), np.float32)
    assert ranks(collapsed, collapsed, np.arange(10), np.arange(10))[0].tolist() == [10] * 10
    with pytest.raises(ValueError, match="right candidate"):
        ranks(collapsed, collapsed, np.arange(1, 11), np.arange(10))


def test_pairs_are_a_clip_with_its_own_prompt_and_with_others_by_hand() -> None:
    """Clip 1 has no prompt; with 5 others there are 4 negatives, each once."""
    rng = np.random.default_rng(6)
    features = rng.normal(size=(6, 4)).astype(np.float32)
    names, prompt_features = list("abcdef"), rng.normal(size=(6, 2, 3)).astype(np.float16)
    valid = torch.ones(6, 2, dtype=torch.bool)
    valid[1] = False
    heads = {
        f"{name}.weight": rng.normal(size=(5, width))
        for name, width in (("skeleton_head", 4), ("prompt_heads.vision", 3))
    }
    heads |= {f"{name[:-7]}.bias": rng.normal(size=5) for name in heads}
    heads = {name: value.astype(np.float32) for name, value in heads.items()}
    labels = np.array([0, 0, 0, 1, 1, 2])
    encoded = Encoded(
        "c2vl",
        "xsub",
        "joint",
        [],
        names,
        Features(features[:0], labels[:0], features, labels),
        heads,
        {},
    )
    pairs = pair_similarities(
        encoded, Prompts({"vision": torch.from_numpy(prompt_features)}, valid), seed=1
    )
    assert pairs is not None
    found = pairs.to_pylist()
    assert (
        [row["other"] for row in found if row["kind"] == "positive"]
        == [row["sample"] for row in found[::5]]
        == list("acdef")
    )
    for own in "acdef":
        assert {row["other"] for row in found if row["sample"] == own} == set("acdef")

    def unit_rows(x: np.ndarray) -> np.ndarray:
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    def headed(name: str, x: np.ndarray) -> np.ndarray:
        return unit_rows(x @ heads[f"{name}.weight"].T + heads[f"{name}.bias"])

    skeletons = headed("skeleton_head", features)
    means = headed(
        "prompt_heads.vision", unit_rows(unit_rows(prompt_features.astype(np.float64)).mean(1))
    )
    for row in found:
        one, other = names.index(row["sample"]), names.index(row["other"])
        assert row["similarity"] == pytest.approx(float(skeletons[one] @ means[other]), abs=1e-3)
        assert row["same_class"] == (labels[one] == labels[other])


def test_zero_shot_takes_the_names_through_the_language_head() -> None:
    rng = np.random.default_rng(4)
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0].astype(np.float32)
    names = np.eye(6, dtype=np.float32)[:3]
    labels = np.array([0, 1, 2, 2])
    features = Features(
        np.zeros((1, 6), np.float32), labels[:1], names[labels] @ rotation.T * 5, labels
    )
    heads = {
        "skeleton_head.weight": rotation.T.copy(),
        "skeleton_head.bias": np.zeros(6, np.float32),
        "prompt_heads.language.weight": np.eye(6, dtype=np.float32),
        "prompt_heads.language.bias": np.zeros(6, np.float32),
    }
    encoded = Encoded(
        "c2vl", "xsub", "joint", ["a"], list("bcde"), features, heads, {"language": 6}
    )
    scores = zero_shot_scores(encoded, 3 * names)
    assert scores is not None
    assert scores.argmax(1).tolist() == labels.tolist()
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-6)
    vision_only = {name: value for name, value in heads.items() if "prompt" not in name}
    assert zero_shot_scores(replace(encoded, heads=vision_only), names) is None


def test_encoded_features_come_back_as_they_were(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    train, test = (
        rng.normal(size=(5, 3)).astype(np.float32),
        rng.normal(size=(2, 3)).astype(np.float32),
    )
    heads = {
        "classifier.weight": rng.normal(size=(4, 3)).astype(np.float32),
        "classifier.bias": np.ones(4, np.float32),
    }
    features = Features(train, np.arange(5) % 4, test, np.array([3, 0]))
    encoded = Encoded("supervised", "xsub", "bone", list("abcde"), ["y", "x"], features, heads, {})
    save_encoded(tmp_path, encoded, 16)
    back = load_encoded(tmp_path)
    assert (back.method, back.stream, back.train_samples, back.test_samples) == (
        "supervised",
        "bone",
        list("abcde"),
        ["y", "x"],
    )
    assert np.array_equal(back.features.train, train) and np.array_equal(back.features.test, test)
    assert back.features.test_labels.tolist() == [3, 0]
    np.testing.assert_allclose(
        back.applied("classifier", test), test @ heads["classifier.weight"].T + 1, rtol=1e-6
    )
    assert back.embedded("skeleton_head", test) is None
    (tmp_path / "heads.safetensors").write_bytes(b"no")
    with pytest.raises(UserError, match="features"):
        load_encoded(tmp_path)


def test_gains_by_class_are_linear_joint_c2vl_minus_infonce() -> None:
    outs = EvaluationTables(["drink", "sit"])
    labels = np.array([0, 0, 1, 1])
    for method, right in (("c2vl", [0, 0, 1, 0]), ("infonce", [0, 1, 1, 1])):
        outs.classified("linear", "xsub", "joint", method, list("abcd"), labels, np.eye(2)[right])
        outs.classified(
            "linear", "xsub", "bone", method, list("abcd"), labels, np.eye(2)[[1, 1, 0, 0]]
        )
    assert [(row["name"], float(row["gain"])) for row in outs.gains()] == [
        ("drink", 0.5),
        ("sit", -0.5),
    ]


def test_class_names_are_averaged_over_templates_as_unit_vectors(tmp_path: Path) -> None:
    said = {"jump": [3.0, 0.0], "to jump": [0.0, 0.5], "sit": [1.0, 0.0], "to sit": [2.0, 0.0]}
    params = ClassNamesParams(templates=["{}", "to {}"])
    write_class_names(
        tmp_path,
        ["jump", "sit"],
        params,
        lambda texts: np.array([said[text] for text in texts], np.float16),
    )
    np.testing.assert_allclose(
        class_name_features(tmp_path, 2), [[0.5**0.5, 0.5**0.5], [1.0, 0.0]], atol=1e-6
    )
    with pytest.raises(UserError, match="classes"):
        class_name_features(tmp_path, 3)
    with pytest.raises(ValueError, match="once"):
        ClassNamesParams(templates=["{name}"])
