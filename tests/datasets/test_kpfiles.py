"""pyskl's table of contents of Kinetics-400: its joints lie in kpfiles."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_stages import rows, run_stage, use

from c2vl.commands.checks.data import data as check_data
from c2vl.core.errors import UserError
from c2vl.datasets.preprocessed import open_preprocessed

HEIGHT, WIDTH = 340, 256
Clip = tuple[dict[str, Any], np.ndarray]  # annotation, skeletons of its kpfile


def clip(name: str, people: list[int], kpfile: str = "0.pkl", first: int = 1) -> Clip:
    """A clip of `people[t]` persons in frame `first + t`, as pyskl stores it."""
    random = np.random.default_rng(sum(map(ord, name)))
    frames = np.repeat(np.arange(first, first + len(people)), people).astype(np.int16)
    boxes = random.uniform(10, 250, (len(frames), 17, 3))
    boxes[..., 2] = random.uniform(0.1, 1, boxes.shape[:2])
    annotation = {
        "frame_dir": name,
        "label": sum(map(ord, name)) % 3,
        "img_shape": (HEIGHT, WIDTH),
        "original_shape": (HEIGHT, WIDTH),
        "total_frames": len(people) + first + 5,
        "raw_file": f"/mnt/k400_kpfiles_2021/{kpfile}",
        "frame_inds": frames,
        "box_score": random.uniform(0.5, 1, len(frames)).astype(np.float16),
        "valid": {0.5: len(people)},
    }
    return annotation, boxes.astype(np.float16)


def write(folder: Path, clips: list[Clip]) -> Path:
    """The table of contents and the kpfiles."""
    (folder / "kpfiles").mkdir(parents=True)
    names = [annotation["frame_dir"] for annotation, _ in clips]
    packs: dict[str, dict[str, Any]] = {}
    for annotation, boxes in clips:
        base = annotation["raw_file"].rpartition("/")[2]
        packs.setdefault(base, {})[annotation["frame_dir"]] = {"keypoint": boxes}
    for base, pack in packs.items():
        (folder / "kpfiles" / base).write_bytes(pickle.dumps(pack, protocol=4))
    content = {
        "split": {"train": names[::2], "val": names[1::2]},
        "annotations": [annotation for annotation, _ in clips],
    }
    (folder / "k400_hrnet.pkl").write_bytes(pickle.dumps(content, protocol=4))
    return folder


def decompressed(frames: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Box by box, as pyskl's README describes it: (T, 2, 17, 3) relative to the image."""
    by_frame: dict[int, list[np.ndarray]] = {}
    for frame, box in zip(frames.tolist(), boxes, strict=True):
        by_frame.setdefault(frame, []).append(box)
    crowded = max(map(len, by_frame.values())) > 10
    made = np.zeros((len(by_frame), 2, 17, 3), np.float32)
    for at, frame in enumerate(sorted(by_frame)):
        people = by_frame[frame]
        if crowded:
            people = sorted(people, key=lambda box: -box[:, 2].sum())
        for slot, box in enumerate(people[:2]):
            for joint in range(17):
                x, y, score = (float(number) for number in box[joint])
                made[at, slot, joint] = x / (WIDTH / 2) - 1, y / (HEIGHT / 2) - 1, score
    return made


def test_kpfiles_become_skeletons(project: Path) -> None:
    clips = [
        clip("-abc_000001_000011", [1, 2, 2, 1]),
        clip("one", [1] * 5, "1.pkl"),
        clip("gaps", [2, 0, 0, 3, 1], first=0),
        clip("crowd", [3, 12, 1, 11], "1.pkl"),
        clip("ten", [10, 4]),
    ]
    write(Path("data/raw/k400"), clips)
    Path("data/raw/k400/classes.txt").write_text("abseiling\nair drumming\nyawning\n")
    use(dataset="pyskl", raw="data/raw/k400", benchmarks=["split"])
    run_stage("index")
    run_stage("skeleton")
    index, found = rows("index/index.parquet"), rows("skeleton")
    assert len(index) == len(found) == 5
    for sample, row in index.items():
        annotation, boxes = next(
            one for one in clips if one[0]["frame_dir"].strip("-") == sample.partition("-")[0]
        )
        expected = decompressed(annotation["frame_inds"], boxes)
        joints = found[sample]["joints"].reshape(-1, 2, 17, 3)
        np.testing.assert_allclose(joints, expected, atol=1e-6)
        assert row["skeleton_file"] == f"kpfiles/{annotation['raw_file'][-5:]}"
        assert (row["video_width"], row["video_height"]) == (WIDTH, HEIGHT)
    assert "yawning" in Path("data/index/classes.json").read_text()
    (finding,) = check_data()
    assert finding.state == "ok" and "pyskl's format" in finding.found


def test_a_missing_or_damaged_kpfile_is_a_row_with_a_reason(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, ("ran",)

    names = ["fine", "missing", "damaged", "evil", "elsewhere", "short", "unordered", "notthere"]
    clips = {name: clip(name, [1, 2], f"{name}.pkl") for name in names}
    clips["elsewhere"][0]["raw_file"] = "../../../secret.pkl"
    clips["short"][0]["frame_inds"] = np.array([1])
    clips["unordered"][0]["frame_inds"] = np.array([2, 1, 1])
    folder = write(Path("data/raw/k400"), list(clips.values()))
    Path("secret.pkl").write_bytes((folder / "kpfiles/fine.pkl").read_bytes())
    (folder / "kpfiles/secret.pkl").unlink()
    (folder / "kpfiles/missing.pkl").unlink()
    whole = (folder / "kpfiles/damaged.pkl").read_bytes()
    (folder / "kpfiles/damaged.pkl").write_bytes(whole[:-40])
    (folder / "kpfiles/evil.pkl").write_bytes(pickle.dumps({"evil": Evil()}))
    (folder / "kpfiles/notthere.pkl").write_bytes(pickle.dumps({"other": {}}))
    use(dataset="pyskl", raw=str(folder / "k400_hrnet.pkl"), benchmarks=["split"])
    run_stage("index")
    assert "DVC watches k400_hrnet.pkl alone" in capsys.readouterr().out
    reasons = {sample: row["reason"] for sample, row in rows("index/index.parquet").items()}
    assert not Path("ran").exists()
    assert reasons.pop("fine") == ""
    assert reasons["missing"] == "its kpfile kpfiles/missing.pkl is missing"
    assert reasons["elsewhere"] == "its kpfile kpfiles/secret.pkl is missing"
    for name in ("damaged", "evil"):
        assert "is no pickle of plain numbers" in reasons[name]
    for name in ("short", "unordered"):
        assert "`frame_inds` does not number the frames of the 3 skeletons" in reasons[name]
    assert "has no `keypoint` (N, V, 3) of the clip" in reasons["notthere"]
    run_stage("skeleton")
    assert len(rows("skeleton")) == 1


def test_mmaction2_has_a_kpfile_for_each_clip(tmp_path: Path) -> None:
    annotation, boxes = clip("W-qaXgFW70Y", [1, 2, 1])
    del annotation["raw_file"]
    (tmp_path / "kpfiles").mkdir()
    (tmp_path / "kpfiles/W-qaXgFW70Y.pkl").write_bytes(pickle.dumps({"keypoint": boxes}))
    content = {"split": {"train": ["W-qaXgFW70Y"]}, "annotations": [annotation]}
    (tmp_path / "k400_2d.pkl").write_bytes(pickle.dumps(content))
    joints = open_preprocessed(tmp_path).clip("W-qaXgFW70Y").joints
    np.testing.assert_allclose(joints, decompressed(annotation["frame_inds"], boxes), atol=1e-6)


def test_no_kpfile_at_all_is_one_sentence(tmp_path: Path) -> None:
    folder = write(tmp_path / "k400", [clip("a", [1]), clip("b", [1])])
    (folder / "kpfiles/0.pkl").unlink()
    with pytest.raises(UserError, match=r"table of contents.*unpack pyskl's kpfiles into"):
        open_preprocessed(folder)


def test_a_folder_without_kpfiles_is_no_file_of_pyskl_s(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("data/raw").mkdir(parents=True, exist_ok=True)
    use(dataset="pyskl", raw="data/raw", benchmarks=["split"])
    with pytest.raises(SystemExit):
        run_stage("index")
    assert "or the folder of k400_hrnet.pkl and its kpfiles" in capsys.readouterr().err


def test_a_folder_that_cannot_be_listed_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "k400", [clip("a", [1])])

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(UserError, match=r"k400 cannot be read \(Permission denied\); change its"):
        open_preprocessed(folder)
