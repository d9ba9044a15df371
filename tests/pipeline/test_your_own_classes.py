"""docs/your-own-classes.md: its commands, from a folder of videos to a confusion matrix."""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections import Counter
from pathlib import Path

import pytest
from whole_project import ROOT, Project, copy_of_the_working_tree

from c2vl.studio.class_folders import CLASSES

pytestmark = pytest.mark.slow
FEW = 3  # people, and so clips of each class, in `make test`
MORE = 6  # in `make recipes`; the page has 25


def commands() -> list[list[str]]:
    """The commands of the page, in their order, split as a shell would."""
    page = (ROOT / "docs/your-own-classes.md").read_text(encoding="utf-8")
    page = page.replace("\\\n", " ")
    lines = [re.split(r"\s#\s", line)[0] for line in re.findall(r"(?m)^    (\S.+)$", page)]
    return [shlex.split(line) for line in lines if line.startswith(("python ", "c2vl ", "dvc "))]


def test_the_first_commands_make_a_data_set(tmp_path: Path, python: Path) -> None:
    project = copy_of_the_working_tree(tmp_path / "project")
    project.starts_quickly(python)
    project.environment["C2VL_WORKERS"] = "1"
    write, init, switch, train, *_ = commands()
    assert train[:3] == ["dvc", "exp", "run"]
    project.works(*write, "--clips", str(FEW))
    said = project.works(*init)
    assert f"{len(CLASSES)} classes, {len(CLASSES) * FEW} clips" in said
    assert "stage `pose` finds coco17 in the videos" in said
    with (project.folder / "data/raw/manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["class"] for row in rows) == dict.fromkeys(CLASSES, FEW)
    tests = {row["subject"] for row in rows if row["xsub"] == "test"}
    trains = {row["subject"] for row in rows if row["xsub"] == "train"}
    assert len(tests) == 1 and not tests & trains
    project.works(*switch, "--force")
    assert "FAIL" not in project.works("c2vl", "profile")
    project.works("dvc", "repro", "index")
    metrics = json.loads((project.folder / "data/index/metrics.json").read_text(encoding="utf-8"))
    assert metrics["excluded"] == {}
    assert sum(metrics["splits"]["xsub"].values()) == metrics["samples"] == len(rows)


@pytest.mark.recipes
def test_all_commands_lead_to_a_confusion_matrix(project: Project) -> None:
    said = {}
    for command in commands():
        more = ["--clips", str(MORE)] if command[0] == "python" else []
        force = ["--force"] if command[:2] == ["c2vl", "profile"] else []
        said[" ".join(command[:2])] = project.works(*command, *more, *force)
    folder = project.folder
    streams = {"joint", "motion", "bone"}
    protocols = json.loads((folder / "results/protocols/metrics.json").read_text(encoding="utf-8"))
    assert streams <= set(protocols["finetune"]["xsub"])
    plot = folder / "results/report/plots/confusion-finetuned-xsub.png"
    assert plot.stat().st_size > 5000
    assert any(name in said["c2vl predict"] for name in CLASSES)
    assert (folder / "seen.jpg").stat().st_size > 5000
