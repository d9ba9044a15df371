"""`c2vl predict` on videos: what the pipeline would compute, drawings, and files of no use."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from dataset_stages import ROOT, rows, run_stage
from synthetic import BENCHMARK
from trained_project import write_project

from c2vl.cli import main
from c2vl.commands.recognition.classifiers import choose, load_classifier
from c2vl.core.layout_file import shipped_layout
from c2vl.datasets.video.decode import header
from c2vl.evaluation.evaluate_params import FusionParams
from c2vl.studio.class_folders import film_clip
from c2vl.studio.dataset import takes
from c2vl.studio.studio_params import StudioParams

WORLD = {"seed": 11, "setups": 1, "subjects": 3, "repetitions": 1, "height": 144, "broken": 0}
LAYOUT = shipped_layout("coco17")
SHORT = {"frames": 10, "look_every": 5}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two videos of the studio, in folders of their classes."""
    folder = tmp_path_factory.mktemp("clips")
    params = StudioParams.model_validate(
        {**WORLD, "frames_per_second": 10, "actions": ["clap", "shake hands"]}
    )
    return [film_clip(params, take, folder) for take in takes(params)[:2]]


@pytest.fixture(scope="module")
def skeletons(clips: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Joints (T, M, V, 3) by class, as the stages `index`, `pose` and `skeleton` find them."""
    root = tmp_path_factory.mktemp("line")
    shutil.copytree(clips[0].parents[1], root / "data/raw")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("C2VL_WORKERS", "1")
        patch.setenv("C2VL_STORE", str(root / "store"))
        (root / "store").mkdir()
        write_params(root, data=True)
        main(["init", "data/raw"])
        for stage in ("index", "pose", "skeleton"):
            run_stage(stage)
        found = rows("skeleton")
    assert {row["status"] for row in found.values()} == {"ok"}
    return {
        name.rpartition("_")[0]: row["joints"].reshape(-1, *LAYOUT.shape)
        for name, row in found.items()
    }


def write_params(root: Path, data: bool = False) -> None:
    """The demo's engines, few frames a clip; with `data`, its data, too."""
    demo = yaml.safe_load((ROOT / "profiles/demo.yaml").read_text(encoding="utf-8"))
    path = root / "params.yaml"
    params = demo if data else yaml.safe_load(path.read_text(encoding="utf-8"))
    if data:
        params["data"] = {
            "dataset": "manifest",
            "raw": "data/raw",
            "benchmarks": ["split"],
            "skeleton": "coco17",
        }
    for section, engine in (("pose", "engine"), ("crop", "detector")):
        params[section] = demo[section]
        model = ROOT / demo[section][engine]["model"]
        params[section][engine] = {**demo[section][engine], "model": str(model)}
    params["pose"] |= {**SHORT, "compare": False}
    path.write_text(yaml.safe_dump(params), encoding="utf-8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random encoders of 2D skeletons, with heads."""
    root = write_project(tmp_path_factory.mktemp("project"), LAYOUT)
    write_params(root)
    return root


@pytest.fixture
def project(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    monkeypatch.setenv("C2VL_WORKERS", "1")
    return trained


def test_a_video_gets_the_scores_of_the_skeleton_that_the_stages_find(
    project: Path,
    clips: list[Path],
    skeletons: dict[str, np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A folder with a broken video: it has a reason, and the exit code is 1; the others go on."""
    folder = shutil.copytree(clips[0].parents[1], tmp_path / "videos")
    (folder / "clap/p99.mp4").write_bytes(b"no video")
    (folder / "clap/notes.md").write_text("nothing")
    with pytest.raises(SystemExit) as end:
        main(["predict", str(folder), "--json", "--stream", "joint"])
    out, errors = capsys.readouterr()
    assert end.value.code == 1 and "1 of 3 files could not be used" in errors
    answers = {
        Path(answer["file"]).relative_to(folder).as_posix(): answer for answer in json.loads(out)
    }
    assert list(answers) == ["clap/p01.avi", "clap/p99.mp4", "shake hands/p01.avi"]
    assert "p99.mp4: the video cannot be opened" in answers["clap/p99.mp4"]["error"]
    results = Path("results")
    chosen, _ = choose(results, Path("data"), BENCHMARK, None, "joint")
    recogniser = load_classifier(results, Path("data"), chosen, FusionParams())
    for name in ("clap", "shake hands"):
        answer, joints = answers[f"{name}/p01.avi"], skeletons[name.replace(" ", "_")]
        assert answer["persons"] == int(joints.any(axis=(0, 2, 3)).sum())
        [expected] = recogniser.scores([joints])
        for action in answer["actions"]:
            assert action["score"] == pytest.approx(float(expected[action["label"]]), abs=1e-4)
        declared = header(folder / f"{name}/p01.avi")
        assert answer["frames"] == declared.frames
        assert answer["seconds"] == pytest.approx(declared.frames / 10, abs=1e-3)
        [moment] = answer["timeline"]
        assert (moment["begin"], moment["stop"]) == (0, declared.frames)
        assert "windows" not in answer


def test_a_long_video_has_a_timeline_and_can_be_drawn(
    project: Path, clips: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    length = header(clips[0]).frames
    arguments = ["predict", str(clips[0]), "--window", "1s", "--stride", "5"]
    main([*arguments, "--json", "--top", "2", "--overlay", str(tmp_path / "seen.mp4")])
    [answer] = json.loads(capsys.readouterr().out)
    windows = answer["windows"]
    assert all(one["stop"] - one["begin"] == 10 for one in windows[:-1])
    assert [one["begin"] for one in windows[:-1]] == [*range(0, 5 * (len(windows) - 1), 5)]
    assert windows[-1]["stop"] == length and len(windows[0]["actions"]) == 2
    stops = [moment["stop"] for moment in answer["timeline"]]
    assert [moment["begin"] for moment in answer["timeline"]] == [0, *stops[:-1]]
    assert stops[-1] == length and answer["overlay"] == str(tmp_path / "seen.mp4")
    drawn = header(tmp_path / "seen.mp4")
    assert (drawn.frames, drawn.frames_per_second) == (length, 10)
    assert drawn.height == 3 * 144 and drawn.width == 3 * 256
    main([*arguments, "--overlay", str(tmp_path / "seen.jpg")])
    said = capsys.readouterr()
    assert f"{length} frames, {length / 10:.1f} s" in said.out and " windows)" in said.out
    assert "frames a second on cpu)" in said.err
    picture = cv2.imread(str(tmp_path / "seen.jpg"))
    assert picture.shape[:2] == (2 * 432, 3 * 768)
    yellow = np.abs(picture.astype(int) - (77, 211, 255)).max(axis=-1) < 40
    assert yellow.sum() > 500, "boxes"


def test_several_drawings_get_numbers(project: Path, clips: list[Path], tmp_path: Path) -> None:
    main(["predict", *map(str, clips), "--window", "all", "--overlay", str(tmp_path / "a.gif")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-1.gif", "a-2.gif"]


def test_what_cannot_be_done_is_one_sentence(
    project: Path,
    clips: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    video = str(clips[0])

    def said(*arguments: str) -> str:
        with pytest.raises(SystemExit):
            main(["predict", *arguments])
        return capsys.readouterr().err

    np.save(tmp_path / "a.npy", np.ones((4, 17, 3), np.float32))
    assert "no video is among the files" in said(str(tmp_path / "a.npy"), "--overlay", "a.jpg")
    assert "must end in one of" in said(video, "--overlay", "a.txt")
    assert "so there is no part 5:9999" in said(video, "--part", "5:9999")
    assert "stride is longer than the window" in said(video, "--window", "5", "--stride", "9")
    assert "'nowhere' is neither" in said(video, "--pose", "nowhere")
    mine = shutil.copy(video, tmp_path / "mine.avi")
    assert "mine.avi is one of the videos" in said(str(mine), "--overlay", str(mine))
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "not a regular file" in said(str(tmp_path / "pipe.mp4"))
    other = write_project(tmp_path / "kinect")
    monkeypatch.chdir(other)
    errors = said(video)
    assert "was trained on the skeleton ntu25, but videos give coco17" in errors
    assert errors.count("\n") == 1


def test_a_folder_may_hold_videos_and_skeleton_files(
    project: Path,
    clips: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    shutil.copy(clips[0], folder / "a.avi")
    (folder / "notes.json").write_text("{}")
    with pytest.raises(SystemExit):
        main(["predict", str(folder), "--json"])
    notes, video = json.loads(capsys.readouterr().out)
    assert "notes.json: " in notes["error"] and Path(video["file"]).name == "a.avi"
    assert video["actions"]
    np.save(folder / "b.npy", np.random.default_rng(0).normal(size=(9, 25, 3)))
    monkeypatch.chdir(write_project(tmp_path / "kinect"))
    (folder / "notes.json").unlink()
    main(["predict", str(folder)])
    out, errors = capsys.readouterr()
    assert "b.npy" in out and "a.avi" not in out
    assert "1 video is skipped: videos give coco17, and the classifier was trained on" in errors
