"""`c2vl init`: what it understands of a folder, what it writes, and that the pipeline reads it."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from dataset_stages import ROOT, rows, run_stage
from listed_files import film

from c2vl.cli import main
from c2vl.settings import faults


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("C2VL_WORKERS", "1")
    shutil.copytree(ROOT / "profiles", "profiles")
    return tmp_path


def clip(path: Path, seed: int = 0, joints: int = 20) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    np.save(path, random.normal(size=(20, joints, 3)).astype(np.float32))


def written(path: Path = Path("raw/manifest.csv")) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_class_folders_become_a_data_set(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(10):
        clip(Path(f"raw/jump/{number}.npy"), number)
        clip(Path(f"raw/eat an apple/day 1/{number}.npy"), 20 + number)
    for place in ("raw/readme.txt", "raw/jump/old.mov", "raw/loose.npy", "raw/jump/x.zip.part"):
        Path(place).touch()
    main(["init", "raw", "--params", "mine"])
    said = capsys.readouterr().out
    assert "raw: 2 classes, 20 clips (0 videos, 20 skeletons" in said
    assert "eat an apple: 10" in said and "taken for kinect20; check it" in said
    assert "skipped 1: not in the folder of a class, such as loose.npy" in said
    assert "old.mov" in said and "14 train, 6 test; drawn in each class (seed 0, 30% test)" in said
    lines = written()
    assert Counter((line["class"], line["split"]) for line in lines) == {
        ("jump", "train"): 7,
        ("jump", "test"): 3,
        ("eat an apple", "train"): 7,
        ("eat an apple", "test"): 3,
    }
    assert set(lines[0]) == {"sample", "class", "skeleton", "split"}
    shutil.copy("profiles/mine.yaml", "params.yaml")
    params = yaml.safe_load(Path("params.yaml").read_text())
    small = yaml.safe_load(Path("profiles/small.yaml").read_text())
    assert {**params, "data": 0, "profile": 0} == {**small, "data": 0, "profile": 0}
    run_stage("index")
    run_stage("skeleton")
    assert len(rows("skeleton")) == 20
    assert json.loads(Path("data/index/classes.json").read_text()) == ["eat an apple", "jump"]
    assert not [fault for fault in faults(params) if "data" in fault]
    before = Path("raw/manifest.csv").read_bytes()
    with pytest.raises(SystemExit):
        main(["init", "raw"])
    assert "manifest.csv exists; look at it" in capsys.readouterr().err
    main(["init", "raw", "--force"])
    assert Path("raw/manifest.csv").read_bytes() == before
    said = capsys.readouterr().out
    assert "dataset: manifest" in said and "benchmarks: [split]" in said


def test_subjects_in_the_names_make_the_split(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for subject in range(1, 7):
        for action in ("jump", "eat"):
            for take in (1, 2):
                clip(Path(f"raw/{action}/s{subject:02}_t{take}.npy"), subject)
    main(["init", "raw"])
    sides: dict[str, set[str]] = {}
    for line in written():
        sides.setdefault(line["subject"], set()).add(line["xsub"])
    assert all(len(side) == 1 for side in sides.values()) and len(sides) == 6
    assert Counter(next(iter(side)) for side in sides.values()) == {"train": 4, "test": 2}
    capsys.readouterr()
    clip(Path("raw/jump/other.npy"))
    main(["init", "raw", "--dry-run"])
    said = capsys.readouterr().out
    assert "not by subject, because 1 of 25 names show none, such as jump_other" in said


def test_folders_may_say_the_split_and_hold_videos_beside_skeletons(project: Path) -> None:
    for side in ("train", "val", "test"):
        for action in ("jump", "eat"):
            clip(Path(f"raw/{side}/skeletons/{action}/1_skeleton.npy"))
            video = Path(f"raw/{side}/videos/{action}/1_rgb.mp4")
            video.parent.mkdir(parents=True)
            video.touch()
    main(["init", "raw"])
    lines = written()
    assert len(lines) == 6 and all(line["skeleton"] and line["video"] for line in lines)
    assert Counter(line["split"] for line in lines) == {"train": 2, "val": 2, "test": 2}
    assert len({line["sample"] for line in lines}) == 6


def test_openpose_folders_are_one_clip_each(project: Path) -> None:
    person = {"pose_keypoints_2d": (np.ones((18, 3)) * [300, 200, 0.9]).reshape(-1).tolist()}
    for action in ("jump", "eat"):
        for take in ("a", "b"):
            folder = Path(f"raw/{action}/{take}")
            folder.mkdir(parents=True)
            for frame in range(3):
                path = folder / f"{take}_{frame:012}_keypoints.json"
                path.write_text(json.dumps({"people": [person]}))
    main(["init", "raw", "--params", "mine"])
    assert [line["skeleton"] for line in written()] == ["eat/a", "eat/b", "jump/a", "jump/b"]
    assert (
        yaml.safe_load(Path("profiles/mine.yaml").read_text())["data"]["skeleton"] == "openpose18"
    )
    shutil.copy("profiles/mine.yaml", "params.yaml")
    run_stage("index")
    assert all(row["skeleton_frames"] == 3 for row in rows("index/index.parquet").values())


def test_the_skeleton_is_that_of_most_files(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(9):
        clip(Path(f"raw/jump/{number}.npy"), number, joints=25 if number else 20)
    Path("raw/jump/gone.npy").symlink_to("nowhere.npy")
    main(["init", "raw"])
    said = capsys.readouterr().out
    assert "20 frames, 1 person, 25 joints of 3 numbers: taken for ntu25; check it" in said
    assert "2 of 10 files looked at are not like it: jump/0.npy holds" in said
    assert "1 classes, 10 clips" in said and "skeleton: ntu25" in said


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nowhere"], "is missing"),
        (["empty"], "has no clips in folders of classes"),
        (["empty", "--test", "2"], "share between 0 and 1"),
        (["empty", "--params", "demo"], "choose another name"),
        (["empty", "--params", "study"], "choose another name"),
        (["empty", "--skeleton", "coco71"], "there is no skeleton 'coco71'"),
        (["empty", "--params", "../x"], "choose another name"),
    ],
)
def test_what_it_cannot_use_is_one_sentence(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    Path("empty").mkdir()
    with pytest.raises(SystemExit):
        main(["init", *arguments])
    said = capsys.readouterr().err
    assert why in said and said.count("\n") == 1
    assert not list(Path("empty").iterdir())


def test_nothing_is_written_in_a_dry_run(project: Path) -> None:
    clip(Path("raw/jump/1.npy"))
    main(["init", "raw", "--dry-run"])
    assert not Path("raw/manifest.csv").exists()


def test_the_doctor_counts_what_the_manifest_lists(project: Path) -> None:
    from c2vl.commands.checks.data import data, filmed
    from c2vl.commands.checks.run import _skeletons, _splits
    from c2vl.datasets.data_params import DataParams

    for number in range(4):
        clip(Path(f"raw/jump/{number}.npy"), number)
        clip(Path(f"raw/eat/{number}.npy"), 20 + number)
    main(["init", "raw", "--params", "mine"])
    with Path("raw/manifest.csv").open("a") as file:
        file.write("bad,jump,../x.npy,train\n")
    shutil.copy("profiles/mine.yaml", "params.yaml")
    lines = [finding.line(11) for finding in data()]
    assert any(
        "8 skeletons and 0 videos of 8 samples as manifest, 2 classes" in one for one in lines
    )
    assert any("1 bad path" in one and "leads out" in one for one in lines)
    params = DataParams.model_validate(yaml.safe_load(Path("params.yaml").read_text())["data"])
    assert not filmed(params) and len(_skeletons(params)) == 8 and not list(_splits(params))


def test_the_doctor_says_what_videos_alone_need(project: Path) -> None:
    from c2vl.commands.checks.data import data
    from c2vl.commands.checks.run import _splits
    from c2vl.datasets.data_params import DataParams

    for name in ("jump/1", "jump/2", "eat/1", "eat/2"):
        film(Path(f"raw/{name}.avi"), 10)
    main(["init", "raw", "--params", "mine"])
    shutil.copy("profiles/mine.yaml", "params.yaml")
    params = DataParams.model_validate(yaml.safe_load(Path("params.yaml").read_text())["data"])
    assert params.skeleton == "coco17" and not list(_splits(params))
    lines = [finding.line(11) for finding in data()]
    assert any("4 samples have a video and no skeleton file" in line for line in lines)


def test_a_profile_may_copy_the_demo_without_its_worlds(project: Path) -> None:
    for action in ("jump", "eat"):
        for number in range(2):
            clip(Path(f"raw/{action}/{number}.npy"), number)
    main(["init", "raw", "--params", "mine", "--base", "demo"])
    mine, demo = (
        yaml.safe_load(Path(f"profiles/{name}.yaml").read_text(encoding="utf-8"))
        for name in ("mine", "demo")
    )
    for section in ("studio", "target_world"):
        del demo[section]
    demo |= {"profile": "mine", "worlds": [], "target_worlds": [], "data": mine["data"]}
    demo["transfer"]["targets"], demo["pose"]["compare"] = {}, False
    assert mine == demo and mine["data"]["dataset"] == "manifest"


def test_names_of_any_kind_are_shown_and_read(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        clip(Path(f"raw/ju\x1b[31m\rmp/{number}.npy"), number)
        clip(Path(f"raw/ eat/{number}.npy"), 10 + number)
        clip(Path(f"raw/eat/{number}.npy"), 20 + number)
    clip(Path("raw/ /blank.npy"))
    Path("raw/eat/0_rgb.mp4").touch()
    Path("raw/eat/\x1b]0;title\x07.txt").touch()
    main(["init", "raw", "--params", "mine"])
    said = capsys.readouterr().out
    assert "\x1b" not in said and "\r" not in said and "\x07" not in said
    assert r"  ju\x1b[31m\rmp: 3" in said and "  eat: 6" in said
    assert "skipped 1: not in the folder of a class, such as  /blank.npy" in said
    assert r"such as eat/\x1b]0;title\x07.txt" in said
    lines = written()
    assert Counter(line["class"] for line in lines) == {"ju\x1b[31m\rmp": 3, "eat": 6}
    assert len({line["sample"] for line in lines}) == 9
    shutil.copy("profiles/mine.yaml", "params.yaml")
    run_stage("index")
    capsys.readouterr()
    index = rows("index/index.parquet")
    assert len(index) == 9
    assert {row["status"] for row in index.values() if "eat" in row["skeleton_file"]} == {"ok"}


def test_a_bad_skeleton_is_named_as_the_option(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip(Path("raw/jump/1.npy"))
    with pytest.raises(SystemExit):
        main(["init", "raw", "--skeleton", "gone.yaml"])
    said = capsys.readouterr().err
    assert "gone.yaml cannot be read" in said and "correct --skeleton." in said
    assert "data.skeleton" not in said


def test_a_manifest_of_another_format_beside_is_mentioned(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(2):
        clip(Path(f"raw/jump/{number}.npy"), number)
        clip(Path(f"raw/eat/{number}.npy"), number)
    Path("raw/manifest.parquet").touch()
    with pytest.raises(SystemExit):
        main(["init", "raw"])
    assert "raw/manifest.parquet exists, and is not read" in capsys.readouterr().err
    assert not Path("raw/manifest.csv").exists()
    main(["init", "raw", "--force", "--params", "mine"])
    assert "raw/manifest.parquet exists; beside a manifest.csv it is" in capsys.readouterr().out
    shutil.copy("profiles/mine.yaml", "params.yaml")
    run_stage("index")
    assert "manifest.csv is read, not manifest.parquet beside it" in capsys.readouterr().out
