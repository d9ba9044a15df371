"""The published lists of unseen classes, the seeded draws, and which clips a split may use."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from ntu_grid import grid
from synthetic import BENCHMARK, CLASSES, write_data

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.files import write_json
from c2vl.datasets.benchmarks import missing_skeletons, splits
from c2vl.datasets.classes import published_class_names
from c2vl.datasets.data_params import DataParams
from c2vl.datasets.file_facts import FileFacts
from c2vl.datasets.index import assemble
from c2vl.datasets.scan import RawFiles
from c2vl.training.training_params import PretrainParams
from c2vl.training.zero_shot.protocols import (
    NotRunError,
    ZeroShotSplit,
    find_split,
    names_for,
    published,
    unseen_of,
)
from c2vl.training.zero_shot.samples import choose_samples, dataset_of, labels_of, split_samples
from c2vl.training.zero_shot.zero_shot_params import ZeroShotParams

SIZES = {"ntu60": 60, "ntu120": 120, "pku1": 51}


def found(name: str, dataset: str, benchmark: str = "xsub", **other: int) -> ZeroShotSplit:
    return find_split(name, dataset, benchmark, SIZES[dataset], other.get("unseen", 5), 0)


def test_every_published_split_has_as_many_classes_as_its_name_says() -> None:
    for name, split in published()["splits"].items():
        seen, unseen = map(int, name.split("-")[1:3])
        labels = unseen_of(name)
        assert len(labels) == len(set(labels)) == unseen
        assert seen + unseen == SIZES[split["dataset"]]
        assert min(labels) >= 0 and max(labels) < SIZES[split["dataset"]]
        assert list(labels) == sorted(labels)
        family = published()["families"][split["family"]]
        assert split["dataset"] in family["benchmarks"] and family["source"]


def test_the_four_families_hold_what_the_field_uses() -> None:
    families = Counter(split["family"] for split in published()["splits"].values())
    assert families == {"synse": 6, "official": 6, "random": 18, "purls": 4}
    assert names_for("ntu60", "xview") == ["official-55-5", "official-48-12"]
    assert names_for("ntu120", "xset") == ["official-110-10", "official-96-24"]
    assert {"synse-46-5", "synse-39-12", "smie-46-5-3"} <= set(names_for("pku1", "xsub"))
    assert "purls-60-60" in names_for("ntu120", "xsub")


def test_synse_s_classes_are_those_that_its_readme_names() -> None:
    """skelemoa/synse-zsl, README.md, `A11 reading` and so on, against NTU's own list of names."""
    names = published_class_names("ntu120", Path())
    assert [label + 1 for label in unseen_of("synse-55-5")] == [11, 12, 20, 27, 57]
    assert [names[label] for label in unseen_of("synse-55-5")][:2] == ["reading", "writing"]
    twelve = [4, 6, 10, 13, 16, 41, 43, 48, 52, 57, 59, 60]
    assert [label + 1 for label in unseen_of("synse-48-12")] == twelve
    ten = [5, 14, 38, 44, 50, 66, 89, 96, 100, 107]
    assert [label + 1 for label in unseen_of("synse-110-10")] == ten


def test_official_splits_have_synse_s_classes() -> None:
    for sizes in ("55-5", "48-12", "110-10", "96-24", "46-5", "39-12"):
        assert unseen_of(f"official-{sizes}") == unseen_of(f"synse-{sizes}")


CLIPS = {  # of one class in the train and test split, before the missing ones are taken off
    ("ntu60", "xsub"): [(672, 276)],  # 40,320 and 16,560 clips of 60 classes
    ("ntu60", "xview"): [(632, 316)],  # 37,920 and 18,960
    ("ntu120", "xsub"): [(672, 276), (384, 576)],  # classes up to 60, and from 61: 63,360, 51,120
}
BENCHMARKS = {"ntu60": ["xsub", "xview"], "ntu120": ["xsub", "xset"]}


@pytest.fixture(scope="module", params=["ntu60", "ntu120"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`data/index` of all names of a data set."""
    dataset, root = request.param, tmp_path_factory.mktemp(request.param) / "data"
    params = DataParams(dataset=dataset, raw=root, benchmarks=BENCHMARKS[dataset])
    samples = {name: RawFiles(skeletons=["a.skeleton"]) for name in grid(dataset)}
    names = published_class_names(dataset, root)
    made = assemble(params, samples, {"a.skeleton": FileFacts("00", 80)}, names)
    tables.write(root / "index/index.parquet", made.table)
    write_json(root / "index/classes.json", names)
    return root


def test_sizes_of_the_splits_on_the_index_of_all_names(whole: Path) -> None:
    """Every split: its clips by a loop over the names. Where a class's size is published: by it."""
    dataset = dataset_of(whole)
    missing, names = missing_skeletons(dataset), grid(dataset)
    for benchmark in BENCHMARKS[dataset]:
        rule = splits(dataset)[benchmark]
        there = Counter((rule(clip), clip.label) for clip in names if clip not in missing)
        gone = Counter((rule(clip), clip.label) for clip in missing)
        assert names_for(dataset, benchmark)
        for name in names_for(dataset, benchmark):
            params = ZeroShotParams(splits=[name])
            split, samples = split_samples(whole, benchmark, name, params)
            found_there = sum(there["train", label] for label in split.seen)
            assert len(samples.seen) == len(set(samples.seen)) == found_there, name
            for label in range(SIZES[dataset]) if (dataset, benchmark) in CLIPS else ():
                train, test = CLIPS[dataset, benchmark][label // 60]
                assert there["train", label] == train - gone["train", label]
                assert there["test", label] == test - gone["test", label]


def test_draws_are_seeded_and_differ() -> None:
    draws = [find_split(f"draw-{n}", "studio", "xsub", 20, 5, 0).unseen for n in (1, 2, 3)]
    assert len(set(draws)) == 3 and all(len(set(draw)) == 5 for draw in draws)
    assert draws[0] == find_split("draw-1", "studio", "xview", 20, 5, 0).unseen
    assert draws[0] != find_split("draw-1", "studio", "xsub", 20, 5, 1).unseen
    split = find_split("draw-1", "studio", "xsub", 20, 5, 0)
    assert sorted(split.seen + split.unseen) == list(range(20)) and split.family == "drawn"


def test_the_gate_holds_out_the_same_share_of_the_seen_classes() -> None:
    expected = {"synse-55-5": 5, "synse-48-12": 10, "purls-30-30": 15}
    assert {name: found(name, "ntu60").held_out for name in expected} == expected
    assert find_split("draw-1", "studio", "xsub", 20, 5, 0).held_out == 4  # 15 · 5 / 20 = 3.75


def test_what_does_not_fit_is_one_sentence() -> None:
    with pytest.raises(UserError, match="there is no split 'synse-50-10'; for ntu60 xsub there"):
        found("synse-50-10", "ntu60")
    with pytest.raises(NotRunError, match=r"is of ntu120 and not of ntu60; for ntu60 xsub"):
        found("synse-110-10", "ntu60")
    with pytest.raises(NotRunError, match="defined on xsub and not on xview; take an official"):
        found("synse-55-5", "ntu60", "xview")
    with pytest.raises(UserError, match="at most 58 can be unseen"):
        found("draw-1", "ntu60", unseen=59)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("zero_shot") / "data"
    write_data(root, clips=96)
    return root


def test_training_samples_are_seen_clips_divided_without_overlap(data: Path) -> None:
    labels = labels_of(data, BENCHMARK, "train")
    split = ZeroShotSplit("x", "drawn", "", "", "studio", CLASSES, (1,))
    chosen = choose_samples(labels, split, 0)
    assert set(chosen.seen) == {sample for sample, label in labels.items() if label != 1}
    assert not set(chosen.gate) & set(chosen.validation)
    assert set(chosen.gate) | set(chosen.validation) == set(chosen.seen)
    assert not {labels[sample] for sample in chosen.gate} & set(chosen.held_out)
    of_held_out = {sample for sample in chosen.seen if labels[sample] in chosen.held_out}
    assert of_held_out <= set(chosen.validation)
    kept = Counter(labels[s] for s in chosen.seen if labels[s] not in chosen.held_out)
    aside = Counter(labels[s] for s in chosen.validation if labels[s] not in chosen.held_out)
    assert aside == {label: max(1, count // 5) for label, count in kept.items()}
    assert chosen == choose_samples(dict(reversed(labels.items())), split, 0)


def test_other_unseen_clips_change_no_choice(data: Path) -> None:
    labels = labels_of(data, BENCHMARK, "train")
    split = ZeroShotSplit("x", "drawn", "", "", "studio", CLASSES, (0, 2))
    fewer = {s: label for s, label in labels.items() if label != 2 or s.endswith("1A003")}
    swapped = {s: {0: 2, 2: 0}.get(label, label) for s, label in labels.items()}
    assert fewer != labels and swapped != labels
    chosen = choose_samples(labels, split, 3)
    assert chosen == choose_samples(fewer, split, 3) == choose_samples(swapped, split, 3)


def test_a_split_of_this_data(data: Path) -> None:
    params = ZeroShotParams(splits=["draw-1"], unseen=2)
    split, samples = split_samples(data, BENCHMARK, "draw-1", params)
    assert split.classes == CLASSES and len(split.unseen) == 2
    assert not np.isin([int(s[-3:]) - 1 for s in samples.seen], split.unseen).any()


def test_a_split_that_lacks_clips_is_not_run(data: Path, tmp_path: Path) -> None:
    params = ZeroShotParams(splits=["draw-1"], unseen=2)
    split, _ = split_samples(data, BENCHMARK, "draw-1", params)
    index = tables.read(data / "index/index.parquet")
    write_json(tmp_path / "index/classes.json", [f"class {label}" for label in range(CLASSES)])
    label = index["label"].to_numpy()
    for kept, sentence in (
        (np.isin(label, split.seen), "no test clip of an unseen class"),
        (np.isin(label, [*split.unseen, split.seen[0]]), "fewer than two seen classes"),
    ):
        tables.write(tmp_path / "index/index.parquet", index.filter(kept))
        with pytest.raises(NotRunError, match=sentence):
            split_samples(tmp_path, BENCHMARK, "draw-1", params)


def test_the_schedule_changes_only_what_it_names() -> None:
    pretrain = PretrainParams()
    params = ZeroShotParams(splits=["draw-1"])
    assert params.pretraining(pretrain) == pretrain
    own = {"epochs": 20, "learning_rate": 0.2, "milestones": [15]}
    changed = params.model_validate({**params.model_dump(), "schedule": own}).pretraining(pretrain)
    assert changed == pretrain.model_copy(update=own)
