"""Skeleton files of all formats become the clips that the pipeline would make."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ntu_text import Record, text
from pku_text import long_joints, skeleton_text
from studio_skeletons import studio_files

from c2vl.commands.recognition.skeleton_inputs import find_files, read_clip
from c2vl.core.errors import UserError
from c2vl.core.layout_file import load_layout
from c2vl.datasets.skeleton_file import parse_skeleton
from c2vl.datasets.skeletons.actors import actors_of_slots
from c2vl.datasets.skeletons.denoise import denoise


def somebody(frames: int = 20, seed: int = 0) -> np.ndarray:
    return long_joints(seed, frames)[:, 0]


def test_each_format_gives_the_joints_of_the_pipeline(tmp_path: Path) -> None:
    """The same body as NTU's text, PKU-MMD's and arrays of both shapes."""
    body = somebody()
    both = long_joints(1, 20, second=(5, 15))
    (tmp_path / "a.skeleton").write_bytes(
        text(20, [Record(frame, "72", joints) for frame, joints in enumerate(body)])
    )
    (tmp_path / "b.txt").write_bytes(skeleton_text(both))
    np.save(tmp_path / "c.npy", body)
    np.save(tmp_path / "d.npy", np.moveaxis(both, 1, 0))
    np.savez(tmp_path / "e.npz", joints=both)
    expected = body - body[0, 1]
    for name in ("a.skeleton", "c.npy"):
        clip = read_clip(tmp_path / name)
        np.testing.assert_allclose(clip.joints[:, 0], expected, atol=1e-6)
        assert clip.persons == 1 and not clip.joints[:, 1].any()
    for name in ("b.txt", "d.npy", "e.npz"):
        clip = read_clip(tmp_path / name)
        np.testing.assert_allclose(clip.joints, actors_of_slots(both).joints, atol=1e-6)
        assert clip.persons == 2
    np.testing.assert_allclose(
        read_clip(tmp_path / "b.txt", part=(6, 9)).joints[:, 0],
        (both - both[6, 0, 1])[6:9, 0],
        atol=1e-6,
    )
    np.testing.assert_array_equal(
        read_clip(tmp_path / "a.skeleton", solo="copy").joints[:, 1],
        read_clip(tmp_path / "c.npy").joints[:, 0],
    )


def one_gap() -> np.ndarray:
    joints = np.ones((4, 25, 3))
    joints[2, 3] = np.nan
    return joints


def test_studio_files_are_read_by_the_line(tmp_path: Path) -> None:
    for name, data, _ in studio_files(5, 2, 10):
        (tmp_path / f"{name}.skeleton").write_bytes(data)
        np.testing.assert_array_equal(
            read_clip(tmp_path / f"{name}.skeleton").joints, denoise(parse_skeleton(data)).joints
        )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.skeleton", b"3\n1\n", "truncated"),
        ("a.skeleton", b"", "empty"),
        ("a.txt", b"1 2 3\n", "150 numbers"),
        ("a.csv", b"1,2", r"end with \.csv are not read"),
        ("a.npy", b"", "NumPy's format"),
        ("a.npy", b"not an array", "NumPy's format"),
        ("a.npy", np.ones((4, 25, 2)), "a joint has 2 numbers, the skeleton ntu25 is 3D"),
        ("a.npy", np.zeros((30, 70, 25, 3)), "70 persons in 30 frames: the order of the axes"),
        ("a.npy", np.zeros((4, 25, 3)), "no joints"),
        ("a.npy", np.full((4, 25, 3), np.nan), "no joints"),
        ("a.npy", one_gap(), "joint 3 has no position in frame 2"),
        ("a.json", b'{"people": []}', "nobody"),
        ("a.npy", np.full((4, 25, 3), 1e300), "infinite"),
        ("a.npy", np.ones((4, 20, 3)) * np.arange(20)[:, None], "20 joints.*25"),
        ("a.npy", np.array([[["x"] * 3] * 25]), "numbers"),
        ("a.npy", np.array([{}], dtype=object), "never unpickled"),
    ],
)
def test_a_bad_file_is_one_sentence_that_names_it(
    tmp_path: Path, name: str, content: object, message: str
) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(UserError, match=f"{name}: .*{message}") as caught:
        read_clip(path)
    assert "\n" not in str(caught.value)


def test_a_part_outside_the_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", somebody())
    with pytest.raises(UserError, match="20 frames, so there is no part 5:21"):
        read_clip(tmp_path / "a.npy", part=(5, 21))


def test_a_folder_is_searched_for_skeletons_only(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    np.save(tmp_path / "deep" / "b.npy", somebody())
    (tmp_path / "a.txt").write_bytes(skeleton_text(long_joints(0, 3)))
    (tmp_path / "classes.txt").write_text("drink\neat\n")
    assert find_files([tmp_path]) == [tmp_path / "a.txt", tmp_path / "deep" / "b.npy"]
    assert find_files([tmp_path / "classes.txt"]) == [tmp_path / "classes.txt"], (
        "a file that is named is tried"
    )
    with pytest.raises(UserError, match="no skeleton file"):
        find_files([_empty(tmp_path / "none")])
    with pytest.raises(UserError, match="does not exist"):
        find_files([tmp_path / "absent.npy"])


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_folder_of_frames_is_one_clip(tmp_path: Path) -> None:
    """OpenPose writes a file a frame; relative joints need no size of the image."""
    coco = load_layout("openpose18")
    joints = np.tile(np.linspace(0.2, 0.7, 18)[:, None], (4, 1, 3))
    for at, frame in enumerate(joints):
        path = tmp_path / f"a/clip/x_{at:012}_keypoints.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        person = {"pose_keypoints_2d": (frame * [1, 1 + at / 100, 1]).reshape(-1).tolist()}
        path.write_text(json.dumps({"people": [person]}))
    (found,) = find_files([tmp_path / "a"])
    assert found == tmp_path / "a/clip"
    for place in (found, *find_files([found])):
        clip = read_clip(place, coco)
        assert clip.joints.shape == (4, 2, 18, 3) and clip.persons == 1
        np.testing.assert_allclose(clip.joints[3, 0, 0], [-0.6, -0.588, 0.2], atol=1e-6)
    with pytest.raises(UserError, match="18 joints, but this encoder was trained on 25"):
        read_clip(found)
