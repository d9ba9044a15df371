"""No test data and no truth reach training or the choice of a model: poisoned data prove it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import code_deps
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
import yaml
from synthetic import BENCHMARK, CLASSES, PARAMS, write_data

from c2vl.core import tables
from c2vl.evaluation.evaluate_params import LinearParams
from c2vl.evaluation.features import Features
from c2vl.evaluation.linear import linear_evaluation
from c2vl.models.clips import load_clips
from c2vl.models.encoders.registry import build_encoder
from c2vl.training.finetuning.finetune import finetune, settings
from c2vl.training.finetuning.finetune_params import FinetuneParams
from c2vl.training.methods import train
from c2vl.training.stage import load_training
from c2vl.training.training_params import BaselinesParams, SupervisedParams

GRAPH = yaml.safe_load((code_deps.ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
STAGES: dict[str, dict[str, Any]] = {name: stage.get("do", stage) for name, stage in GRAPH.items()}
TRAINS = {"pretrain", "baselines", "zero_shot_pretrain"}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data set, and the same with noise in the place of all test data."""
    clean, poisoned = (tmp_path_factory.mktemp(name) / "data" for name in ("clean", "poisoned"))
    for root in (clean, poisoned):
        write_data(root)
    rng = np.random.default_rng(99)
    index = tables.read(poisoned / "index/index.parquet")
    is_test = np.array(index[BENCHMARK].to_pylist()) == "test"
    test = set(pc.filter(index["sample"], pa.array(is_test)).to_pylist())
    labels = np.where(
        is_test, CLASSES - 1 - index["label"].to_numpy(), index["label"].to_numpy()
    ).astype(np.int16)
    at = index.column_names.index("label")
    tables.write(
        poisoned / "index/index.parquet",
        index.set_column(at, index.schema.field("label"), pa.array(labels)),
    )
    for path, column in (
        ("skeleton", "joints"),
        ("embed/vision", "feature"),
        ("embed/language", "feature"),
    ):
        shard = poisoned / path / "S001C001.parquet"
        table = tables.read(shard)
        rows = tables.rows_of(table)
        for row in rows:
            if row["sample"] in test and row[column] is not None:
                row[column] = rng.normal(size=len(row[column])).astype(row[column].dtype)
        tables.write(shard, tables.table_of(rows, table.schema))
    return clean, poisoned


@pytest.mark.parametrize("method", ["c2vl", "infonce", "random", "supervised"])
def test_poisoned_test_samples_change_no_weight(worlds: tuple[Path, Path], method: Any) -> None:
    """Neither pretraining nor a baseline may see the test split, the probe's column included."""
    params = PARAMS.model_copy(update={"epochs": 2, "probe_every": 1})
    baselines = BaselinesParams(
        supervised=SupervisedParams(epochs=2, learning_rate=0.1, milestones=[])
    )
    trained = []
    for data in worlds:
        loaded = load_training(data, BENCHMARK, params.objective.kinds, torch.device("cpu"))
        trained.append(train(method, *loaded, BENCHMARK, "joint", params, baselines))
    first, second = (one.network.state_dict() for one in trained)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert trained[0].curves == trained[1].curves


def test_the_test_split_changes_no_finetuned_weight_however_often_it_is_looked_at(
    worlds: tuple[Path, Path],
) -> None:
    """Finetuning, semi-supervised learning and transfer train by this one function."""
    networks, curves = [], []
    for data, every in zip(worlds, (1, 0), strict=True):
        train, test = (load_clips(data, BENCHMARK, split, "cpu") for split in ("train", "test"))
        schedule: dict[str, Any] = {
            "epochs": 3,
            "milestones": [2],
            "batch": 8,
            "learning_rate": 0.05,
            "test_every": every,
        }
        own = settings(PARAMS, FinetuneParams(streams=["joint"], **schedule), 0)
        torch.manual_seed(0)
        encoder = build_encoder(
            PARAMS.encoder.model_copy(update={"dropout": 0.5})
        )  # looking must not draw random numbers
        done = finetune(encoder, train, np.arange(len(train)), test, CLASSES, "joint", own, "test")
        networks.append(done.network.state_dict())
        curves.append([(row.loss, row.accuracy) for row in done.curves])
    assert all(torch.equal(value, networks[1][name]) for name, value in networks[0].items())
    assert curves[0] == curves[1]


def test_the_poison_is_in_the_test_split_and_nowhere_else(worlds: tuple[Path, Path]) -> None:
    for split, same in (("train", True), ("test", False)):
        clean, poisoned = (load_clips(data, BENCHMARK, split, "cpu") for data in worlds)  # type: ignore[arg-type]
        assert np.array_equal(clean.labels, poisoned.labels) is same
        assert torch.equal(clean.skeletons.joints.tensor, poisoned.skeletons.joints.tensor) is same


def test_labels_reach_pretraining_through_the_probe_only(worlds: tuple[Path, Path]) -> None:
    """Other labels of the training clips change the probe's column of the curves and no weight."""
    params = PARAMS.model_copy(update={"epochs": 2, "probe_every": 1})
    loaded = load_training(worlds[0], BENCHMARK, params.objective.kinds, torch.device("cpu"))
    lied = loaded.clips.__class__(
        loaded.clips.samples, loaded.clips.labels[::-1].copy(), loaded.clips.skeletons
    )
    first, second = (
        train("c2vl", clips, loaded.prompts, CLASSES, BENCHMARK, "joint", params, BaselinesParams())
        for clips in (loaded.clips, lied)
    )
    state = second.network.state_dict()
    assert all(
        torch.equal(value, state[name]) for name, value in first.network.state_dict().items()
    )


def test_the_linear_head_is_of_the_training_features_alone() -> None:
    rng = np.random.default_rng(0)
    train_features, labels = rng.normal(size=(60, 8)).astype(np.float32), np.arange(60) % 3
    heads = []
    for scale in (1.0, 50.0):
        test, test_labels = (
            (scale * rng.normal(size=(30, 8))).astype(np.float32),
            rng.integers(3, size=30),
        )
        features = Features(train_features, labels, test, test_labels)
        heads.append(linear_evaluation(features, 3, LinearParams(epochs=5), 0).head)
    for name in ("weight", "bias", "mean", "scale"):
        assert np.array_equal(getattr(heads[0], name), getattr(heads[1], name)), name


def dependencies(stage: str) -> list[str]:
    """What a stage depends on, with the values that its `foreach` puts in."""
    items = GRAPH[stage].get("foreach")
    given = (
        [str(value) for item in items.values() for value in item.values()]
        if isinstance(items, dict)
        else []
    )
    return [str(dep) for dep in STAGES[stage]["deps"]] + given


def ancestors(stage: str) -> set[str]:
    """All stages whose outs a stage depends on, however far."""
    found: set[str] = set()
    waiting = [stage]
    while waiting:
        deps = dependencies(waiting.pop())
        for name, other in STAGES.items():
            outs = [
                str(next(iter(out)) if isinstance(out, dict) else out).split("${")[0].rstrip("/-")
                for out in other["outs"]
            ]
            if name not in found and any(
                _overlap(dep.split("${")[0].rstrip("/-"), out) for dep in deps for out in outs
            ):
                found.add(name)
                waiting.append(name)
    return found


def _overlap(one: str, other: str) -> bool:
    return bool(one) and (f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/"))


def test_the_reader_of_the_graph_sees_the_way_from_raw_files_to_metrics() -> None:
    assert {"index", "skeleton", "crop", "caption", "embed", "pretrain", "features"} <= ancestors(
        "evaluate"
    )


@pytest.mark.parametrize("stage", sorted(TRAINS))
def test_no_training_stage_lies_behind_truth_class_names_or_results(stage: str) -> None:
    behind = ancestors(stage)
    assert not behind & {
        "score",
        "evaluate",
        "protocols",
        "class_names",
        "features",
        "finetune",
        "semi",
        "transfer",
        "report",
    }
    for name in {stage, *behind}:
        assert not [
            dep for dep in STAGES[name]["deps"] if str(dep).split("/")[0] in ("truth", "results")
        ], name


def test_no_stage_but_score_imports_the_reader_of_the_truth() -> None:
    readers = {
        name
        for name, script in code_deps.scripts().items()
        if "c2vl/evaluation/scores/ground_truth.py" in code_deps.used_files(script)
    }
    checks_params_alone = "check"  # it imports every room for its parameters, and writes a constant
    assert readers - {checks_params_alone} == {"score"}
