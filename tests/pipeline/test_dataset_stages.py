"""Small data sets of other kinds, from their files to accuracies and predictions.

The stages run in this process, one epoch each; prompts are made-up published answers.
"""

from __future__ import annotations

import importlib.util
import json
import runpy
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import recipe_formats
import yaml
from recipe_data import published
from recipes import scaled_down
from whole_project import ROOT

from c2vl.cli import main
from c2vl.core import tables


@dataclass(frozen=True)
class Kind:
    """A data set: its section `data`, what writes it and names its clips, files to recognise."""

    data: dict[str, Any]
    place: Callable[[Path], Sequence[str]]
    files: str
    options: tuple[str, ...] = ()


def gym(root: Path) -> list[str]:
    recipe_formats.gym_hrnet(root, root)
    joints = recipe_formats.pixels(0, 24)
    (root / "clips").mkdir()
    np.save(root / "clips/pose.npy", joints)  # (M, T, V, C), as in the file
    return recipe_formats.GYM


def open_pose(root: Path) -> list[str]:
    recipe_formats.open_pose(root, root)
    main(["init", "data/raw"])
    lines = Path("data/raw/manifest.csv").read_text(encoding="utf-8").splitlines()[1:]
    return [line.split(",")[0] for line in lines]


KINDS = {
    "nwucla": Kind(
        {"dataset": "nwucla", "raw": "data/raw", "benchmarks": ["xview"]},
        recipe_formats.nw_ucla_skeletons,
        "data/raw/all_sqe",
    ),
    "utdmhad": Kind(
        {"dataset": "utdmhad", "raw": "data/raw", "benchmarks": ["xsub"]},
        recipe_formats.utd_mhad_skeletons,
        "data/raw/Skeleton",
    ),
    "pyskl": Kind(
        {"dataset": "pyskl", "raw": "data/raw/gym_hrnet.pkl", "benchmarks": ["split"]},
        gym,
        "clips",
        ("--size", "256x144"),
    ),
    "openpose": Kind(
        {
            "dataset": "manifest",
            "raw": "data/raw",
            "benchmarks": ["split"],
            "skeleton": "openpose18",
        },
        open_pose,
        "data/raw/test",
        ("--size", "256x144"),
    ),
}


def stage(patch: pytest.MonkeyPatch, script: str, *arguments: str) -> None:
    patch.setattr(sys, "argv", [script, *arguments])
    runpy.run_path(str(ROOT / "stages" / f"{script}.py"), run_name="__main__")


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_a_data_set_trains_and_its_files_are_recognised(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kind = KINDS[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("C2VL_WORKERS", "1")
    shutil.copytree(ROOT / "checkpoints/tiny/encoder", "checkpoints/tiny/encoder")
    clips = kind.place(tmp_path)
    published(tmp_path / "published/answers.zip", list(clips))
    params = scaled_down(yaml.safe_load((ROOT / "profiles/small.yaml").read_text("utf-8")))
    params["data"] = kind.data
    params["caption"]["published"] = "published/answers.zip"
    params["pretrain"]["objective"]["knowledge"] = "language"
    Path("params.yaml").write_text(yaml.safe_dump(params))
    (benchmark,) = kind.data["benchmarks"]
    for script in ("index", "skeleton", "crop", "caption"):
        stage(monkeypatch, script)
    for what in ("vision", "language"):
        stage(monkeypatch, "embed", what)
    stage(monkeypatch, "class_names")
    for stream in ("joint", "motion", "bone"):
        stage(monkeypatch, "pretrain", benchmark, stream)
        stage(monkeypatch, "features", benchmark, stream)
    stage(monkeypatch, "baselines", benchmark)
    stage(monkeypatch, "baseline_features", benchmark)
    stage(monkeypatch, "evaluate")
    index = tables.rows_of(tables.read(Path("data/index/index.parquet")))
    assert len(index) == len(clips)
    found = json.loads(Path("results/evaluate/metrics.json").read_text())["linear"][benchmark]
    assert set(found["joint"]) == {"c2vl", "infonce", "random", "supervised"}
    capsys.readouterr()
    main(
        [
            "predict",
            kind.files,
            "--from",
            "pretrained",
            "--stream",
            "joint",
            "--json",
            *kind.options,
        ]
    )
    answers = json.loads(capsys.readouterr().out)
    classes = json.loads(Path("data/index/classes.json").read_text())
    assert answers and all(one["actions"][0]["action"] in classes for one in answers)
    (first, *_) = (row["sample"] for row in index)
    main(["show", first, "--out", "clip.png"])
    assert Path("clip.png").stat().st_size > 1000
    if name != "utdmhad":
        return
    shutil.rmtree("results/evaluate/heads")  # as if nothing had been pretrained
    shutil.rmtree("results/pretrain")
    Path("results/pretrain/xsub-joint").mkdir(parents=True)
    capsys.readouterr()
    main(["predict", kind.files, "--json"])
    answers = json.loads(capsys.readouterr().out)
    assert {one["classifier"] for one in answers} == {"supervised, xsub, joint"}
    if importlib.util.find_spec("onnxscript") is None:
        return
    main(["export", "out"])
    config = json.loads(Path("out/config.json").read_text())
    assert config["classes"] == classes and config["trained"]["source"] == "supervised"
