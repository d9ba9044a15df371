"""Videos in class folders, and nothing else: from a manifest to the report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from recipes import settings
from whole_project import Project, copy_of_the_working_tree, small_world

from c2vl.studio.dataset import simulate
from c2vl.studio.studio_params import StudioParams

pytestmark = pytest.mark.slow
CLIPS = 36


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, python: Path, store: Path) -> Project:
    """A project in which `dvc repro` has run on 36 videos and a file that is none."""
    folder = tmp_path_factory.mktemp("videos")
    params = small_world()
    studio = params["studio"] | {"setups": 1, "broken": 0}
    simulate(StudioParams(**studio), folder / "world", folder / "truth")
    made = copy_of_the_working_tree(folder / "project")
    made.environment |= settings(python, store)
    names = (folder / "world/classes.txt").read_text().splitlines()
    for video in sorted((folder / "world/nturgb+d_rgb").glob("*.avi")):
        place = made.folder / "data/raw" / names[int(video.name[17:20]) - 1] / video.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(video, place)
    (made.folder / "data/raw/sit down/S001C001P003R001A099.avi").write_bytes(b"no video" * 99)
    made.works("c2vl", "init", "data/raw")
    data = {"dataset": "manifest", "raw": "data/raw", "benchmarks": ["xsub"], "skeleton": "coco17"}
    params |= {"worlds": [], "target_worlds": [], "data": data}
    params["transfer"]["targets"] = {}
    made.write_params(params)
    made.works("dvc", "repro")
    return made


def test_skeletons_come_from_the_videos_and_lead_to_the_report(project: Project) -> None:
    index = pq.read_table(project.folder / "data/index/index.parquet").to_pylist()
    (bad,) = (row for row in index if row["status"] != "ok")
    assert "there is no skeleton file, and the video" in bad["reason"]
    assert all(row["skeleton_file"] is None for row in index)
    posed, taken = (
        {
            row["sample"]: row
            for path in (project.folder / "data" / table).glob("*.parquet")
            for row in pq.read_table(path).to_pylist()
        }
        for table in ("pose", "skeleton")
    )
    assert len(posed) == len(index) - 1 == CLIPS
    assert all(row["joints"] == taken[name]["joints"] for name, row in posed.items())
    metrics = json.loads((project.folder / "results/evaluate/metrics.json").read_text())
    assert 0 < metrics["linear"]["xsub"]["joint"]["c2vl"]["top1"] <= 1
    page = (project.folder / "results/report/index.html").read_text(encoding="utf-8")
    assert "your own clips" in page and "checkpoints/tiny" in page
    crops = json.loads((project.folder / "data/crop/metrics.json").read_text())
    assert crops["ok"] > 0.9 * crops["rows"]  # the joints say which people to crop


def test_predict_says_of_a_video_what_evaluate_says(project: Project) -> None:
    found = pq.read_table(project.folder / "results/evaluate/predictions.parquet").to_pylist()
    index = pq.read_table(project.folder / "data/index/index.parquet").to_pylist()
    videos = {row["sample"]: row["video_file"] for row in index}
    said = {
        row["sample"]: row["prediction"]
        for row in found
        if (row["protocol"], row["method"], row["stream"]) == ("linear", "c2vl", "joint")
    }
    chosen = sorted(said)[:3]
    files = [str(project.folder / "data/raw" / videos[sample]) for sample in chosen]
    options = ["--from", "pretrained", "--stream", "joint", "--json"]
    answers = json.loads(project.works("c2vl", "predict", *files, *options))
    assert [one["actions"][0]["label"] for one in answers] == [said[sample] for sample in chosen]
    bad = project.run("c2vl", "predict", "data/raw/sit down/S001C001P003R001A099.avi", *options)
    assert bad.returncode == 1 and "S001C001P003R001A099.avi" in bad.stderr


def test_a_second_run_computes_nothing(project: Project) -> None:
    project.works("dvc", "repro", "-f", "-s", "pose", "skeleton")
    for stage in ("pose", "skeleton"):
        record = json.loads((project.folder / f".c2vl/runs/{stage}.json").read_text())
        assert (record["computed"], record["reused"]) == (0, CLIPS)
