"""Names, splits, class names: against the published lists and counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from ntu_grid import grid
from pydantic import ValidationError

from c2vl.core.errors import UserError
from c2vl.datasets.benchmarks import (
    NTU60_SUBJECTS,
    NTU120_SUBJECTS,
    belongs,
    missing_skeletons,
    splits,
)
from c2vl.datasets.classes import published_class_names
from c2vl.datasets.data_params import DataParams
from c2vl.datasets.file_facts import FileFacts
from c2vl.datasets.index import assemble
from c2vl.datasets.names import parse_name
from c2vl.datasets.scan import RawFiles

CLIPS = 3 * 2 * 60  # of one subject in one setup: cameras x repetitions x actions


def test_names_round_trip() -> None:
    name = parse_name("S017C003P020R002A060")
    assert (name.setup, name.camera, name.subject, name.repetition, name.action, name.label) == (
        17,
        3,
        20,
        2,
        60,
        59,
    )
    assert str(name) == "S017C003P020R002A060"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "S1C1P1R1A1",
        "s017C003P020R002A060",
        "S017C003P020R002A060 ",
        "S017C003P020R002A060\n",
        "../S017C003P020R002A060",
        "S017C003P020R002A060/../x",
        "S017C003P020R002A060.skeleton",
        "S000C003P020R002A060",
        "S017C003P020R002A000",
        "S017C003P020R002A0600",
        "S٠١٧C003P020R002A060",
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a sample name"):
        parse_name(text)


def test_missing_lists_have_the_published_lengths_and_fall_as_published_on_the_splits() -> None:
    """Full sizes minus usable sizes: 40,320 - 40,091 and so on.

    The data sets' papers give the full sizes of NTU60;
    those of NTU120 are the multiples of 360 (clips of a subject in a setup) that leave 535 in all.
    """
    full = {
        ("ntu60", "xsub"): {"train": 40_320, "test": 16_560},
        ("ntu60", "xview"): {"train": 37_920, "test": 18_960},
        ("ntu120", "xsub"): {"train": 63_360, "test": 51_120},
        ("ntu120", "xset"): {"train": 54_720, "test": 59_760},
    }
    usable = {
        ("ntu60", "xsub"): {"train": 40_091, "test": 16_487},
        ("ntu60", "xview"): {"train": 37_646, "test": 18_932},
        ("ntu120", "xsub"): {"train": 63_026, "test": 50_919},
        ("ntu120", "xset"): {"train": 54_468, "test": 59_477},
    }
    assert (
        len(missing_skeletons("ntu60")),
        len(missing_skeletons("ntu120")),
        len(missing_skeletons("studio")),
    ) == (
        302,
        535,
        0,
    )
    for (dataset, benchmark), sizes in full.items():
        fall = Counter(splits(dataset)[benchmark](name) for name in missing_skeletons(dataset))
        assert {split: size - fall[split] for split, size in sizes.items()} == usable[
            dataset, benchmark
        ]


@pytest.mark.parametrize(
    ("dataset", "names", "usable", "sizes"),
    [
        (
            "ntu60",
            56_880,
            56_578,
            {"xsub": {"train": 40_091, "test": 16_487}, "xview": {"train": 37_646, "test": 18_932}},
        ),
        (
            "ntu120",
            114_480,
            113_945,
            {"xsub": {"train": 63_026, "test": 50_919}, "xset": {"train": 54_468, "test": 59_477}},
        ),
    ],
)
def test_published_counts_on_a_list_of_all_names(
    dataset: str, names: int, usable: int, sizes: dict[str, dict[str, int]], tmp_path: Path
) -> None:
    params = DataParams(dataset=dataset, raw=tmp_path, benchmarks=list(sizes))
    samples = {name: RawFiles(skeletons=["a.skeleton"]) for name in grid(dataset)}
    index = assemble(
        params,
        samples,
        {"a.skeleton": FileFacts("00", 80)},
        published_class_names(dataset, tmp_path),
    )
    assert index.counts["samples"] == names
    assert index.counts["excluded"] == {"listed as missing": names - usable}
    assert index.counts["usable"] == usable and index.counts["splits"] == sizes
    for benchmark, size in sizes.items():
        column = Counter(index.table[benchmark].to_pylist())
        assert column == {**size, "": names - usable}
    excluded = {
        parse_name(row)
        for row in index.table.filter(index.table["status"].to_numpy() == "excluded")[
            "sample"
        ].to_pylist()
    }
    assert excluded == missing_skeletons(dataset)
    assert index.counts["videos"] == {"no video file": names}


def test_each_rule_by_hand() -> None:
    def of(dataset: str, benchmark: str, name: str) -> str:
        return splits(dataset, [1, 5])[benchmark](parse_name(name))

    assert of("ntu60", "xsub", "S001C001P038R001A001") == "train"
    assert of("ntu60", "xsub", "S001C001P037R001A001") == "test"
    assert of("ntu60", "xsub", "S001C001P003R001A001") == "test"
    assert [of("ntu60", "xview", f"S001C00{camera}P001R001A001") for camera in (1, 2, 3)] == [
        "test",
        "train",
        "train",
    ]
    assert [of("ntu120", "xset", f"S0{setup}C001P001R001A001") for setup in (17, 18, 31, 32)] == [
        "test",
        "train",
        "test",
        "train",
    ]
    assert (
        of("ntu120", "xsub", "S032C001P103R001A120") == "train"
        and of("ntu120", "xsub", "S032C001P106R001A120") == "test"
    )
    assert (
        of("studio", "xsub", "S001C001P005R001A001") == "train"
        and of("studio", "xsub", "S001C001P002R001A001") == "test"
    )
    assert len(NTU60_SUBJECTS) == 20 and len(NTU120_SUBJECTS) == 53 and max(NTU60_SUBJECTS) <= 40


def test_ntu60_is_the_first_part_of_ntu120() -> None:
    assert belongs("ntu60", parse_name("S017C001P001R001A060")) and not belongs(
        "ntu60", parse_name("S018C001P001R001A060")
    )
    assert not belongs("ntu60", parse_name("S017C001P001R001A061")) and belongs(
        "ntu120", parse_name("S018C001P001R001A061")
    )


def test_class_names(tmp_path: Path) -> None:
    all_names = published_class_names("ntu120", tmp_path)
    assert len(all_names) == len(set(all_names)) == 120 and all(
        name == name.strip() != "" for name in all_names
    )
    assert published_class_names("ntu60", tmp_path) == all_names[:60]
    assert (all_names[0], all_names[49], all_names[59]) == (
        "drink water",
        "punching/slapping other person",
        "walking apart from each other",
    )
    with pytest.raises(UserError, match=r"classes\.txt is missing"):
        published_class_names("studio", tmp_path)
    (tmp_path / "classes.txt").write_text("drink\n wave \n", encoding="utf-8")
    assert (
        published_class_names("studio", tmp_path)
        == published_class_names("ntu60", tmp_path)
        == ["drink", "wave"]
    )
    for bad in (b"", b"a\n\nb\n", b"a\na\n", b"\xff\xfe\n"):
        (tmp_path / "classes.txt").write_bytes(bad)
        with pytest.raises(UserError, match=r"classes\.txt"):
            published_class_names("studio", tmp_path)


def test_params_name_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="has the benchmarks xsub, xview, not 'xset'"):
        DataParams(dataset="ntu60", raw=tmp_path, benchmarks=["xset"])
    with pytest.raises(ValidationError, match="train_subjects"):
        DataParams(dataset="studio", raw=tmp_path, benchmarks=["xsub"])
