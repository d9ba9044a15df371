"""Zero-shot: accuracies and the gate against formulas and loops by hand, the heads, and no leak."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.numpy import load_file
from synthetic import BENCHMARK, CLASSES, PARAMS, WIDTH, write_data

from c2vl.core import tables
from c2vl.evaluation.encoded import unit
from c2vl.evaluation.zero_shot.alignment import AlignmentHead, train_alignment
from c2vl.evaluation.zero_shot.evaluate_split import HEAD, RESULT, Job, evaluate_split
from c2vl.evaluation.zero_shot.gate import choose_gate, gated, gzsl, harmonic, zsl
from c2vl.training.zero_shot.pretrain_seen import PHASES, pretrain_seen
from c2vl.training.zero_shot.samples import split_samples
from c2vl.training.zero_shot.zero_shot_params import AlignmentParams, ZeroShotParams

# --- accuracies, by hand ---

SCORES = np.array(  # classes 0 and 1 are seen, 2 and 3 unseen
    [
        [0.9, 0.1, 0.2, 0.3],  # class 0: right
        [0.2, 0.3, 0.8, 0.1],  # class 1: taken for an unseen one
        [0.6, 0.2, 0.5, 0.4],  # class 2: right among the unseen, lost to class 0 among all
        [0.1, 0.2, 0.3, 0.4],  # class 3: right
        [0.1, 0.2, 0.4, 0.3],  # class 3: wrong either way
    ],
    np.float32,
)
LABELS, UNSEEN = np.array([0, 1, 2, 3, 3]), (2, 3)


def test_zsl_asks_unseen_clips_among_unseen_classes() -> None:
    found = zsl(SCORES, LABELS, UNSEEN)
    assert found["top1"] == pytest.approx(2 / 3) and found["clips"] == 3
    assert found["mean_class"] == pytest.approx((1 + 1 / 2) / 2) and found["chance"] == 1 / 2


def test_gzsl_without_gate_and_with_one() -> None:
    without = gzsl(SCORES, LABELS, UNSEEN, 0.0)
    assert (without["seen"], without["unseen"]) == (1 / 2, 1 / 3)
    assert without["harmonic"] == pytest.approx(2 / (2 + 3))  # 2 / (1/s + 1/u)
    lowered = gzsl(SCORES, LABELS, UNSEEN, 0.2)  # class 2's clip: 0.6 - 0.2 < 0.5
    assert (lowered["seen"], lowered["unseen"]) == (1 / 2, pytest.approx(2 / 3))
    assert gzsl(SCORES, LABELS, UNSEEN, 5.0)["seen"] == 0.0
    assert gated(SCORES, UNSEEN, -5.0).tolist() == [0, 1, 0, 1, 1]


def test_harmonic_mean() -> None:
    assert harmonic(0.5, 0.25) == pytest.approx(1 / 3)
    assert harmonic(0.0, 0.9) == harmonic(0.9, 0.0) == 0.0


@pytest.mark.parametrize("seed", range(4))
def test_the_gate_is_the_best_of_all_by_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes, unseen = 6, tuple(sorted(rng.choice(6, 2, replace=False).tolist()))
    labels = rng.permutation(np.arange(60) % classes)
    scores = rng.normal(size=(60, classes)) + 1.2 * np.eye(classes)[labels]
    scores[:, [c for c in range(classes) if c not in unseen]] += 0.8  # prefers seen classes

    def value(gate: float) -> float:
        right = {True: [0, 0], False: [0, 0]}
        for row, label in zip(scores, labels, strict=True):
            lowered = [s if c in unseen else s - gate for c, s in enumerate(row)]
            answer = lowered.index(max(lowered))
            right[label in unseen][0] += int(answer == label)
            right[label in unseen][1] += 1
        seen, new = (hits / asked for hits, asked in right.values())
        return 2 * seen * new / (seen + new) if seen and new else 0.0

    chosen = choose_gate(scores, labels, unseen)
    kept = [c for c in range(classes) if c not in unseen]
    steps = {float(row[a] - row[b]) for row in scores for a in kept for b in unseen}
    tried = {step + side for step in steps for side in (-1e-6, 1e-6)}
    assert value(chosen) == pytest.approx(max(map(value, tried)))
    assert chosen > 0


def test_classes_that_take_no_part_win_nothing() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 3
    scores = rng.normal(size=(30, 5)) + np.eye(5)[labels]
    scores[:, 3:] = -np.inf
    assert choose_gate(scores, labels, (2,)) == choose_gate(scores[:, :3], labels, (2,))


# --- the alignment head ---


def test_a_head_by_its_formula() -> None:
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=size).astype(np.float32) for size in ((4, 3), 3, 3, 4)]
    head = AlignmentHead(*arrays)
    x, texts = rng.normal(size=(2, 3)).astype(np.float32), rng.normal(size=(5, 4))
    scores = head.scores(x, texts.astype(np.float32))
    for n in range(2):
        mapped = head.weight @ ((x[n] - head.mean) / head.scale)
        for c in range(5):
            text = texts[c] / np.linalg.norm(texts[c]) - head.centre
            cosine = mapped @ text / math.sqrt(mapped @ mapped) / math.sqrt(text @ text)
            assert scores[n, c] == pytest.approx(cosine, abs=1e-5)


def test_a_head_learns_a_linear_map_and_recognises_classes_it_never_saw() -> None:
    rng = np.random.default_rng(0)
    texts = rng.normal(size=(12, 6)).astype(np.float32)
    mixing = rng.normal(size=(6, 10))
    labels = np.arange(240) % 12
    x = (unit(texts)[labels] @ mixing + 0.02 * rng.normal(size=(240, 10))).astype(np.float32)
    seen = tuple(range(9))
    known = np.isin(labels, seen)
    params = AlignmentParams(epochs=60, batch=32)
    head = train_alignment(x[known], labels[known], texts, seen, params, 0)
    again = train_alignment(x[known], labels[known], texts, seen, params, 0)
    assert np.array_equal(head.weight, again.weight)
    scores = head.scores(x, texts)
    assert zsl(scores, labels, (9, 10, 11))["top1"] > 0.9
    other = texts.copy()
    other[9:] += 5  # descriptions of unseen classes do not reach the training
    changed = train_alignment(x[known], labels[known], other, seen, params, 0)
    assert np.array_equal(head.weight, changed.weight)
    assert np.array_equal(head.centre, changed.centre)


# --- a whole split, and what may not reach it ---

ZERO_SHOT = ZeroShotParams.model_validate(
    {
        "splits": ["draw-1"],
        "unseen": 2,
        "schedule": {"epochs": 2, "learning_rate": 0.1},
        "alignment": {"epochs": 3},
    }
)
NAMES = np.random.default_rng(5).normal(size=(CLASSES, WIDTH)).astype(np.float32)


def run(root: Path) -> dict[str, Any]:
    """Train and evaluate draw-1 on `root/data`; outputs lie in `root/encoders` and `root/out`."""
    data, device = root / "data", torch.device("cpu")
    split, samples = split_samples(data, BENCHMARK, "draw-1", ZERO_SHOT)
    cell = data, BENCHMARK, samples, ZERO_SHOT
    state, encoders = root / "state", root / "encoders"
    pretrain_seen(*cell, PARAMS, device, state, encoders)
    job = Job(data, BENCHMARK, split, samples, ZERO_SHOT, NAMES, device)
    evaluate_split(job, encoders, root / "out")
    assert not any((state / phase / "state.pt").exists() for phase in PHASES)
    found: dict[str, Any] = json.loads((root / "out" / RESULT).read_text(encoding="utf-8"))
    return found


def shuffle_unseen(data: Path, unseen: tuple[int, ...]) -> None:
    """Permute the labels of unseen clips, in both splits, and exchange their prompts."""
    rng = np.random.default_rng(7)
    index = tables.read(data / "index/index.parquet")
    labels = index["label"].to_numpy().copy()
    rows = np.flatnonzero(np.isin(labels, unseen))
    clips = [index["sample"].to_pylist()[row] for row in rows]
    labels[rows] = rng.permutation(labels[rows])
    at = index.column_names.index("label")
    changed = index.set_column(at, index.schema.field("label"), pa.array(labels.astype(np.int16)))
    tables.write(data / "index/index.parquet", changed)
    other = dict(zip(clips, rng.permutation(clips).tolist(), strict=True))
    for kind in ("vision", "language"):
        shard = data / "embed" / kind / "S001C001.parquet"
        table = tables.read(shard)
        rows_of = tables.rows_of(table)
        by_key = {(row["sample"], row["k"]): row for row in rows_of}
        for row in list(rows_of):
            if row["sample"] in other:
                source = by_key[other[row["sample"]], row["k"]]
                row["shuffled"] = {name: source[name] for name in ("feature", "status", "reason")}
        for row in rows_of:
            row.update(row.pop("shuffled", {}))
        tables.write(shard, tables.table_of(rows_of, table.schema))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, dict[str, Any]]]:
    """A world and the same with its unseen clips shuffled, both trained and evaluated."""
    roots = [tmp_path_factory.mktemp(name) for name in ("clean", "shuffled")]
    for root in roots:
        write_data(root / "data", clips=96)
    split, _ = split_samples(roots[0] / "data", BENCHMARK, "draw-1", ZERO_SHOT)
    shuffle_unseen(roots[1] / "data", split.unseen)
    return [(root, run(root)) for root in roots]


def test_shuffled_unseen_clips_change_nothing_that_was_trained(two: Any) -> None:
    (clean, first), (shuffled, second) = two
    indexes = [
        tables.read(root / "data/index/index.parquet")["label"] for root in (clean, shuffled)
    ]
    assert indexes[0] != indexes[1]  # the shuffle is there
    for phase in PHASES:
        path = f"encoders/{phase}/encoder.safetensors"
        assert (clean / path).read_bytes() == (shuffled / path).read_bytes()
        path = f"encoders/{phase}/curves.csv"
        assert (clean / path).read_bytes() == (shuffled / path).read_bytes()
    assert (clean / "out" / HEAD).read_bytes() == (shuffled / "out" / HEAD).read_bytes()
    for setting in ("label_free", "labels"):
        assert first[setting]["gzsl"]["gate"] == second[setting]["gzsl"]["gate"]
        assert first[setting]["gzsl"]["seen"] == second[setting]["gzsl"]["seen"]
        assert first[setting]["zsl"] != second[setting]["zsl"]


def test_a_result_tells_its_split_and_its_clips(two: Any) -> None:
    root, found = two[0]
    index = tables.read(root / "data/index/index.parquet")
    label, split = index["label"].to_numpy(), np.array(index[BENCHMARK].to_pylist())
    unseen = found["split"]["unseen"]
    test_unseen = int((np.isin(label, unseen) & (split == "test")).sum())
    assert found["clips"]["test_unseen"] == test_unseen == found["labels"]["zsl"]["clips"]
    assert found["clips"]["test_seen"] == int((split == "test").sum()) - test_unseen
    assert found["split"]["name"] == "draw-1" and found["split"]["family"] == "drawn"
    assert not set(found["split"]["held_out"]) & set(unseen) and found["epochs"] == 2
    for setting in ("label_free", "labels"):
        value = found[setting]["gzsl"]
        mean = harmonic(value["seen"], value["unseen"])
        assert value["harmonic"] == pytest.approx(mean)
        assert found[setting]["gzsl_without_gate"]["gate"] == 0.0
    assert set(load_file(root / "out" / HEAD)) == {"weight", "mean", "scale", "centre"}


def test_encoders_are_trained_on_seen_clips_alone(two: Any) -> None:
    root, found = two[0]
    configs = [
        json.loads((root / "encoders" / phase / "config.json").read_text(encoding="utf-8"))
        for phase in PHASES
    ]
    index = tables.read(root / "data/index/index.parquet")
    rows = zip(index["label"].to_pylist(), index[BENCHMARK].to_pylist(), strict=True)
    seen = sum(label not in found["split"]["unseen"] and split == "train" for label, split in rows)
    trained = [config["clips"] + config["left_out"] for config in configs]
    assert trained[1] == found["clips"]["train"] and seen - 1 <= trained[1] <= seen
    assert trained[0] < trained[1]
