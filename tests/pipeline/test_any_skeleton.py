"""A skeleton of the user's own, an invented one of 11 joints in 2D, from file to prediction."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from synthetic import BENCHMARK, CLASSES, PARAMS, WIDTH, write_data

from c2vl.cli import main
from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.layout import SkeletonLayout
from c2vl.core.layout_file import load_layout, shipped_layout, shipped_layouts, write_layout
from c2vl.core.tables.fingerprint import data_fingerprint
from c2vl.models.clips import load_clips
from c2vl.models.ragged import RaggedSkeletons
from c2vl.models.streams import to_stream
from c2vl.models.views import ViewParams, draw, train_view
from c2vl.prompts.class_names import ClassNamesParams, write_class_names
from c2vl.training.checkpoint import load_checkpoint
from c2vl.training.methods import train
from c2vl.training.training_params import BaselinesParams, PretrainParams

ROOT = Path(__file__).resolve().parents[2]
PUPPET = """
coordinates: 2d
persons: 3
joints: [head, chest, hip, left elbow, left hand, right elbow, right hand, left knee, left foot,
  right knee, right foot]
bones: [[head, chest], [hip, chest], [3, chest], [4, 3], [5, chest], [6, 5], [7, hip], [8, 7],
  [9, hip], [10, 9]]
sides: [[3, 5], [4, 6], [7, 9], [8, 10]]
head: [head, chest]
"""
STREAMS = ("joint", "bone", "motion")
SHORT = {"epochs": 1, "batch": 8, "learning_rate": 0.1, "milestones": []}


@pytest.fixture(scope="module")
def puppet(tmp_path_factory: pytest.TempPathFactory) -> SkeletonLayout:
    path = tmp_path_factory.mktemp("skeleton") / "puppet.yaml"
    path.write_text(PUPPET, encoding="utf-8")
    return load_layout(path)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, puppet: SkeletonLayout) -> Path:
    """All stages below the skeleton table, one epoch each."""
    root = tmp_path_factory.mktemp("puppets")
    write_data(root / "data", layout=puppet)
    write_data(root / "data/targets/same", clips=32, seed=9, layout=puppet)
    write_data(root / "data/targets/kinect", clips=32, seed=9)
    target = {"dataset": "studio", "raw": "nowhere", "benchmark": BENCHMARK, "train_subjects": [1]}
    pretrain = PARAMS.model_copy(update={"epochs": 1, "milestones": []}).model_dump(mode="json")
    del pretrain["encoder"]["graph"]  # params.yaml does not name it: the data does
    sections = {
        "data": {"dataset": "ntu60", "raw": "raw", "benchmarks": [BENCHMARK]},
        "skeleton": {"rules": "ctrgcn", "solo": None, "max_failed": 0.1},
        "embed": {
            "max_failed": 0.1,
            "encoder": {"model": "nowhere", "revision": None, "dtype": "float32"},
        },
        "pretrain": pretrain,
        "baselines": {"supervised": {"epochs": 1, "milestones": []}},
        "evaluate": {"linear": {"epochs": 2}},
        "finetune": {**SHORT, "streams": ["joint"]},
        "transfer": {
            **SHORT,
            "streams": ["joint"],
            "source": BENCHMARK,
            "targets": {"same": target, "kinect": target},
        },
    }
    (root / "params.yaml").write_text(yaml.safe_dump(sections))
    names = [f"class {label}" for label in range(CLASSES)]
    rng = np.random.default_rng(5)
    write_class_names(
        root / "data/class_names",
        names,
        ClassNamesParams(templates=["{}"]),
        lambda texts: rng.normal(size=(len(texts), WIDTH)),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("C2VL_WORKERS", "1")
        for stream in STREAMS:
            stage(patch, "pretrain", BENCHMARK, stream)
            stage(patch, "features", BENCHMARK, stream)
        stage(patch, "baselines", BENCHMARK)
        stage(patch, "baseline_features", BENCHMARK)
        stage(patch, "evaluate")
        stage(patch, "finetune", BENCHMARK, "joint")
        stage(patch, "transfer", "same")
    return root


def stage(patch: pytest.MonkeyPatch, script: str, *arguments: str) -> None:
    patch.setattr(sys, "argv", [script, *arguments])
    runpy.run_path(str(ROOT / "stages" / f"{script}.py"), run_name="__main__")


def test_the_checkpoint_holds_the_skeleton_and_is_read_back(
    project: Path, puppet: SkeletonLayout
) -> None:
    """The user's file may be gone: nothing but the checkpoint is needed."""
    for folder in ("pretrain/xsub-bone", "baselines/xsub/random", "finetune/full/xsub-joint"):
        config = json.loads((project / "results" / folder / "config.json").read_text())
        assert (config["encoder"]["graph"], config["skeleton"]["persons"]) == ("puppet", 3)
        assert load_checkpoint(project / "results" / folder).config.layout == puppet
    metrics = json.loads((project / "results/evaluate/metrics.json").read_text())
    assert set(metrics["linear"][BENCHMARK]) == {*STREAMS, "fusion", "fusion_equal"}


def test_predict_says_what_evaluate_says_from_pixels_too(
    project: Path,
    puppet: SkeletonLayout,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(project)
    found = tables.read(project / "results/evaluate/predictions.parquet").to_pylist()
    by = {
        row["sample"]: row
        for row in found
        if (row["protocol"], row["method"], row["stream"]) == ("linear", "c2vl", "fusion")
    }
    rows = {row["sample"]: row for row in tables.rows_of(tables.read(project / "data/skeleton"))}
    Path("clips").mkdir(exist_ok=True)
    for sample in list(by)[:3]:
        joints = rows[sample]["joints"].reshape(-1, *puppet.shape)
        np.save(f"clips/{sample}.npy", joints.swapaxes(0, 1))
        pixels = joints.copy()
        pixels[..., :2] = (joints[..., :2] + 1) * (320, 180)
        pixels[~joints.any(axis=(2, 3))] = 0
        Path("pixels").mkdir(exist_ok=True)
        np.save(f"pixels/{sample}.npy", pixels.swapaxes(0, 1))
    choice = ["--from", "pretrained", "--stream", "fusion", "--json"]
    main(["predict", "clips", *choice])
    answers = json.loads(capsys.readouterr().out)
    for answer in answers:
        row = by[Path(answer["file"]).stem]
        assert answer["actions"][0]["label"] == row["prediction"]
        assert answer["actions"][0]["score"] == pytest.approx(row["probability"], abs=1e-3)
    main(["predict", "pixels", "--size", "640x360", *choice])
    for one, other in zip(answers, json.loads(capsys.readouterr().out), strict=True):
        assert one["actions"][0]["score"] == pytest.approx(other["actions"][0]["score"], abs=1e-3)
    with pytest.raises(SystemExit):
        main(["predict", "pixels", *choice])
    assert "its joints are pixels; say of which image with `--size" in capsys.readouterr().err
    np.save("other.npy", np.ones((9, 25, 3), np.float32))
    with pytest.raises(SystemExit):
        main(["predict", "other.npy", *choice])
    assert "it has 25 joints, but this encoder was trained on 11 (puppet)" in (
        capsys.readouterr().err
    )


def test_the_export_says_what_its_joints_are(
    project: Path, puppet: SkeletonLayout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    monkeypatch.chdir(project)
    main(["export", str(tmp_path / "out"), "--stream", "bone", "--from", "pretrained"])
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["graph"]["joint_names"] == list(puppet.joints)
    assert (config["graph"]["persons"], config["graph"]["coordinates"]) == (3, "2d")
    card = (tmp_path / "out/README.md").read_text()
    assert "3 persons, 11 joints, 3): x, y and the score" in card and "Kinect" not in card


def test_a_transfer_to_another_skeleton_is_refused_in_one_sentence(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    assert (project / "results/finetune/transfer/same/joint/config.json").is_file()
    with pytest.raises(SystemExit):
        stage(monkeypatch, "transfer", "kinect")
    said = capsys.readouterr().err
    assert "was pretrained on the skeleton puppet, but these clips have ntu25" in said


def test_it_is_drawn_and_not_exported_for_others(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    sample = tables.read(project / "data/skeleton")["sample"][5].as_py()
    index = tables.rows_of(tables.read(project / "data/index/index.parquet"))
    for row in index:
        row |= {"dataset": "ntu60", "video_width": 640, "video_height": 360}
    tables.write(
        project / "data/index/index.parquet",
        tables.table_of(index, tables.schemas.index([BENCHMARK])),
    )
    for name in (f"{sample}.png", f"{sample}.gif"):
        main(["show", sample, "--out", name])
        assert Path(name).stat().st_size > 1000
    with pytest.raises(SystemExit):
        main(["skeletons", "pyskl", "out"])
    assert "The skeleton of this data is puppet; pyskl files are only written of ntu25" in (
        capsys.readouterr().err
    )


def test_two_dimensions_turn_in_the_image_and_scores_are_averaged(puppet: SkeletonLayout) -> None:
    """By hand, as pyskl does: differences of x and y, means of scores, the last motion zero."""
    rng = np.random.default_rng(0)
    clip = rng.uniform(0.1, 1, (8, *puppet.shape)).astype(np.float32)
    clips = RaggedSkeletons.from_clips([clip], layout=puppet)
    params = ViewParams(frames=8, rotation=0.5, crop=False)
    draws = draw(1, params, torch.Generator().manual_seed(0))
    view = train_view(clips, torch.tensor([0]), params, draws)[0]  # (C, T, V, M)
    angle = float(draws.angles[0, 2])
    x, y, score = (clip[..., place].transpose(0, 2, 1) for place in range(3))
    turned = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    np.testing.assert_allclose(view[:2], np.stack(turned), atol=1e-5)
    np.testing.assert_array_equal(view[2], score)
    bone, motion = (to_stream(view[None], stream, puppet)[0] for stream in ("bone", "motion"))
    hand, elbow = 4, 3
    torch.testing.assert_close(bone[:2, :, hand], view[:2, :, hand] - view[:2, :, elbow])
    torch.testing.assert_close(bone[2, :, hand], (view[2, :, hand] + view[2, :, elbow]) / 2)
    root = puppet.root
    assert not bone[:2, :, root].any() and torch.equal(bone[2, :, root], view[2, :, root])
    torch.testing.assert_close(motion[:2, 3], view[:2, 4] - view[:2, 3])
    torch.testing.assert_close(motion[2, 3], (view[2, 4] + view[2, 3]) / 2)
    assert not motion[:, -1].any()


def test_the_skeleton_is_in_keys_and_fingerprints(tmp_path: Path, puppet: SkeletonLayout) -> None:
    """The same numbers on other bones are other data; ntu25 adds nothing to a key."""
    clip = np.ones((4, *puppet.shape), np.float32)
    other = SkeletonLayout("puppet", puppet.joints, (2, 2, 2, *puppet.parents[3:]), "2d", 3)
    contents = [
        RaggedSkeletons.from_clips([clip], layout=layout).content() for layout in (puppet, other)
    ]
    assert not torch.equal(contents[0][-1], contents[1][-1])
    kinect = RaggedSkeletons.from_clips([np.ones((4, 2, 25, 3), np.float32)])
    assert len(kinect.content()) == 3
    write_data(tmp_path / "data")
    before = data_fingerprint(tmp_path / "data")
    write_layout(tmp_path / "data/index", shipped_layout("ntu25"))
    assert data_fingerprint(tmp_path / "data") == before
    write_layout(tmp_path / "data/index", puppet)
    assert data_fingerprint(tmp_path / "data") != before


def test_an_encoder_that_asks_for_another_skeleton_is_refused(
    project: Path, puppet: SkeletonLayout
) -> None:
    def params(**encoder: object) -> PretrainParams:
        return PretrainParams.model_validate({"encoder": encoder})

    assert params().on(puppet).encoder.graph == "puppet"
    kinect = shipped_layout("ntu25")
    assert params(graph="ntu25").on(kinect).model_dump() == params().model_dump()
    with pytest.raises(UserError, match="graph` is ntu25, but the skeleton of the data is puppet"):
        params(graph="ntu25").on(puppet)
    with pytest.raises(UserError, match="partition: pyskl` is for ntu25, not for puppet"):
        params(partition="pyskl").on(puppet)
    with pytest.raises(UserError, match="relative` is for 3D joints; puppet is 2D"):
        params(relative=True).on(puppet)
    clips = load_clips(project / "data", BENCHMARK, "train", "cpu")
    with pytest.raises(UserError, match="remove the key"):
        train(
            "supervised", clips, None, 4, BENCHMARK, "joint", params(graph="ntu25"),
            BaselinesParams(),
        )  # fmt: skip


def test_the_page_s_skeleton_is_read(tmp_path: Path) -> None:
    page = (ROOT / "docs/skeletons.md").read_text(encoding="utf-8")
    text = page.partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "puppet.yaml").write_text(text, encoding="utf-8")
    layout = load_layout(tmp_path / "puppet.yaml")
    assert (layout.count, layout.parents[4], layout.root) == (5, 1, 1)
    shipped = {name for name in shipped_layouts() if f"`{name}`" in page}
    assert shipped == set(shipped_layouts())
