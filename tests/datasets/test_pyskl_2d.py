"""pyskl's 2D files: any splits and names, more persons than slots, joints about the image."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_stages import rows, run_stage, use

from c2vl.core.errors import UserError
from c2vl.core.layout_file import read_layout
from c2vl.datasets.preprocessed import open_preprocessed
from c2vl.datasets.pyskl_splits import pyskl_splits

HEIGHT, WIDTH = 1080, 1920


def annotation(name: str, label: int, persons: int = 1, frames: int = 12) -> dict[str, Any]:
    """What pyskl's HRNet scripts write."""
    random = np.random.default_rng(len(name) + label)
    keypoint = random.uniform(100, 1000, (persons, frames, 17, 2)).astype(np.float16)
    score = random.uniform(0.2, 1, (persons, frames, 17)).astype(np.float16)
    return {
        "frame_dir": name,
        "label": label,
        "img_shape": (HEIGHT, WIDTH),
        "original_shape": (HEIGHT, WIDTH),
        "total_frames": frames,
        "keypoint": keypoint,
        "keypoint_score": score,
    }


def saved(path: Path, split: dict[str, Any], annotations: list[dict[str, Any]]) -> Path:
    path.write_bytes(pickle.dumps({"split": split, "annotations": annotations}, protocol=4))
    return path


def by_image(keypoint: np.ndarray, score: np.ndarray) -> np.ndarray:
    """pyskl's PreNormalize2D with mode `fix`, then (T, M, V, 3)."""
    x = (keypoint[..., 0].astype(np.float32) - WIDTH / 2) / (WIDTH / 2)
    y = (keypoint[..., 1].astype(np.float32) - HEIGHT / 2) / (HEIGHT / 2)
    return np.stack([x, y, score.astype(np.float32)], axis=-1).transpose(1, 0, 2, 3)


def test_ntu_by_hrnet(project: Path) -> None:
    names = [f"S001C00{c}P00{p}R001A00{a}" for c in (1, 2) for p in (1, 3) for a in (1, 2)]
    clips = [annotation(name, int(name[-1]) - 1, 1 + place % 2) for place, name in enumerate(names)]
    clips[2]["keypoint_score"][0, 3, 5] = 0
    clips[3]["keypoint"] = clips[3]["keypoint"][:, :, :16]
    clips[4]["keypoint_score"] = clips[4]["keypoint_score"][:, :3]
    clips[5]["img_shape"] = (0, 1920)
    split = {
        "xsub_train": names[::2],
        "xsub_val": names[1::2],
        "xview_train": names[4:],
        "xview_val": names[:4],
    }
    use(
        dataset="ntu60",
        raw=str(saved(project / "ntu60_hrnet.pkl", split, clips)),
        benchmarks=["xsub", "xview"],
    )
    run_stage("index")
    run_stage("skeleton")
    assert read_layout(Path("data")).name == "coco17"
    found, index = rows("skeleton"), rows("index/index.parquet")
    for place, (name, clip) in enumerate(zip(names, clips, strict=True)):
        if place in (3, 4, 5):
            assert index[name]["status"] == "excluded"
            continue
        joints = found[name]["joints"].reshape(-1, 2, 17, 3)
        expected = by_image(clip["keypoint"], clip["keypoint_score"])
        if place == 2:
            expected[3, 0, 5, :2] = 0  # not seen
        np.testing.assert_allclose(joints[:, : expected.shape[1]], expected, atol=1e-6)
        assert not joints[:, expected.shape[1] :].any()
        assert found[name]["bodies"] == expected.shape[1]
        assert (index[name]["video_width"], index[name]["video_height"]) == (WIDTH, HEIGHT)
        assert index[name]["subject"] == int(name[11]) and index[name]["label"] == int(name[-1]) - 1
        assert index[name]["xview"] == ("train" if place >= 4 else "test")
    assert "(M, T, 17, 2)" in index[names[3]]["reason"]
    assert (
        "keypoint_score" in index[names[4]]["reason"] and "img_shape" in index[names[5]]["reason"]
    )


@pytest.mark.parametrize(
    ("split", "sides"),
    [
        (lambda a, b: {"train": a, "val": b}, {"split"}),
        (lambda a, b: {"train": a, "test": b}, {"split"}),
        (lambda a, b: {"train1": a, "test1": b, "train2": b, "test2": a}, {"split1", "split2"}),
        (lambda a, b: {"sub_training": a, "sub_validation": b}, {"sub"}),
    ],
)
def test_the_splits_are_the_files_own(
    project: Path, split: Callable[..., dict[str, list[str]]], sides: set[str]
) -> None:
    names = ["v_ApplyEyeMakeup_g08_c01", "-1x_qFpT0Q8_000010", "#122 pick & place (1).avi", "b/c"]
    clips = [annotation(name, place) for place, name in enumerate(names)]
    path = saved(project / "ucf101_hrnet.pkl", split(names[:2], tuple(names[2:])), clips)
    first = sorted(sides)[0]
    use(dataset="pyskl", raw=str(path), benchmarks=sorted(sides))
    run_stage("index")
    run_stage("skeleton")
    index = rows("index/index.parquet")
    assert len(rows("skeleton")) == 4
    assert [index[sample][first] for sample in index if index[sample]["label"] < 2] == ["train"] * 2
    assert [index[sample][first] for sample in index if index[sample]["label"] > 1] == ["test"] * 2
    assert set(next(iter(index.values()))) >= sides
    classes = json.loads(Path("data/index/classes.json").read_text())
    assert classes == ["class 0", "class 1", "class 2", "class 3"]


def test_validation_clips_are_left_out_where_there_are_test_clips(tmp_path: Path) -> None:
    found, remarks = pyskl_splits(
        tmp_path, {"train": ["a"], "val": ["b"], "test": ["c"], "other": ["d"], "setup_train": []}
    )
    assert found == {"a": {"split": "train"}, "c": {"split": "test"}}
    assert any("1 validation clips are left out" in remark for remark in remarks)
    assert any("'other'" in remark for remark in remarks)
    with pytest.raises(UserError, match="both training and test clips of xsub"):
        pyskl_splits(tmp_path, {"xsub_train": ["a"], "xsub_val": ["a"]})


def test_of_many_persons_the_liveliest_are_kept(project: Path) -> None:
    clip = annotation("crowd", 0, persons=5)
    still = clip["keypoint"][:, :1].repeat(12, axis=1)
    still[3] = clip["keypoint"][3]
    still[1, :, :, 0] += np.linspace(0, 50, 12, dtype=np.float16)[:, None]
    clip["keypoint"] = still
    path = saved(project / "gym_hrnet.pkl", {"train": ["crowd"], "val": []}, [clip])
    kept = open_preprocessed(path).clip("crowd").joints
    expected = by_image(still, clip["keypoint_score"])[:, [3, 1]]
    assert kept is not None
    np.testing.assert_allclose(kept, expected, atol=1e-6)


def test_other_joints_need_a_named_skeleton(tmp_path: Path) -> None:
    clip = annotation("x", 0)
    clip["keypoint"] = np.zeros((1, 5, 14, 2), np.float16)
    path = saved(tmp_path / "mine.pkl", {"train": ["x"]}, [clip])
    with pytest.raises(UserError, match=r"14 joints of 2 coordinates; name .* `data.skeleton`"):
        open_preprocessed(path)


def test_what_the_split_names_is_checked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(
        project / "x_hrnet.pkl",
        {"train": ["a", "z"], "val": ["b"]},
        [annotation("a", 0), annotation("b", 1)],
    )
    use(dataset="pyskl", raw=str(path), benchmarks=["xsub"])
    with pytest.raises(SystemExit):
        run_stage("index")
    assert "has splits of split, not of xsub" in capsys.readouterr().err
    use(dataset="pyskl", raw=str(path), benchmarks=["split"], class_names=["eat", "run"])
    run_stage("index")
    assert "1 clips of its lists are not in it, such as z" in capsys.readouterr().out
    use(dataset="ntu60", raw=str(path), benchmarks=["xsub"])
    with pytest.raises(SystemExit):
        run_stage("index")
    use(dataset="pyskl", raw=str(path), benchmarks=["label"])
    with pytest.raises(SystemExit):
        run_stage("index")
    assert "it is a column of the index" in capsys.readouterr().err
