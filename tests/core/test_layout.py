"""Skeletons of data sets: the shipped ones against published lists, and files that are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from c2vl.core.errors import UserError
from c2vl.core.layout import SkeletonLayout
from c2vl.core.layout_file import load_layout, shipped_layouts

# (joint, parent) pairs from 1 as 2s-AGCN and CTR-GCN publish them, and from 0 as pyskl does.
NTU = (
    "1-2 2-21 3-21 4-3 5-21 6-5 7-6 8-7 9-21 10-9 11-10 12-11 13-1 14-13 15-14 16-15 17-1 18-17 "
    "19-18 20-19 22-23 23-8 24-25 25-12"
)
UCLA = (
    "1-2 2-3 4-3 5-3 6-5 7-6 8-7 9-3 10-9 11-10 12-11 13-1 14-13 15-14 16-15 17-1 18-17 19-18 20-19"
)
COCO = "15-13 13-11 16-14 14-12 11-5 12-6 9-7 7-5 10-8 8-6 5-0 6-0 1-0 3-1 2-0 4-2"
OPENPOSE = "4-3 3-2 7-6 6-5 13-12 12-11 10-9 9-8 11-5 8-2 5-1 2-1 0-1 15-0 14-0 17-15 16-14"
# POSE_BODY_25_PAIRS_RENDER of OpenPose's poseParameters.cpp: edges without a direction.
BODY_25 = (
    "1-8 1-2 1-5 2-3 3-4 5-6 6-7 8-9 9-10 10-11 8-12 12-13 13-14 1-0 0-15 15-17 0-16 16-18 14-19 "
    "19-20 14-21 11-22 22-23 11-24"
)
# Parents as published, -1 for the root.
SMPL = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]
H36M = [-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15]
H36M_LEFT, H36M_RIGHT = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]
AZURE = [-1, 0, 1, 2, 2, 4, 5, 6, 7, 8, 7, 2, 11, 12, 13, 14, 15, 14, 0, 18, 19, 20, 0, 22, 23, 24]
AZURE += [3, 26, 26, 26, 26, 26]
# POSE_CONNECTIONS of MediaPipe; edges across the body and round the hands close circles.
MEDIAPIPE = (
    "0-1 1-2 2-3 3-7 0-4 4-5 5-6 6-8 9-10 11-12 11-13 13-15 15-17 15-19 15-21 17-19 12-14 14-16 "
    "16-18 16-20 16-22 18-20 11-23 12-24 23-24 23-25 24-26 25-27 26-28 27-29 28-30 29-31 30-32 "
    "27-31 28-32"
)


def pairs(text: str, first: int = 0) -> set[tuple[int, int]]:
    return {
        (int(joint) - first, int(parent) - first)
        for joint, parent in (bone.split("-") for bone in text.split())
    }


@pytest.mark.parametrize(
    ("name", "published", "root"),
    [
        ("ntu25", pairs(NTU, 1), 20),
        ("kinect20", pairs(UCLA, 1), 2),
        ("coco17", pairs(COCO), 0),
        ("openpose18", pairs(OPENPOSE), 1),
    ],
)
def test_bones_are_those_of_the_published_graphs(
    name: str, published: set[tuple[int, int]], root: int
) -> None:
    layout = load_layout(name)
    assert (set(layout.bones), layout.root) == (published, root)


def test_openpose_s_25_joints_hang_together_as_it_draws_them() -> None:
    found = {frozenset(bone) for bone in load_layout("openpose25").bones}
    assert found == {frozenset(bone) for bone in pairs(BODY_25)}


@pytest.mark.parametrize(
    ("name", "parents"),
    [("smpl24", SMPL), ("smpl22", SMPL[:22]), ("h36m17", H36M), ("azure32", AZURE)],
)
def test_parents_are_the_published_ones(name: str, parents: list[int]) -> None:
    layout = load_layout(name)
    assert layout.parents == (0, *parents[1:])
    assert [layout.joints[joint] for joint in layout.centre] == [
        {"azure32": "spine at the navel"}.get(name, "pelvis")
    ]


def test_mediapipe_s_bones_are_its_connections_but_for_the_face() -> None:
    """Its points form no tree: the mouth and the shoulders are not joined to the nose."""
    found = {frozenset(bone) for bone in load_layout("mediapipe33").bones}
    ours = found - {frozenset(bone) for bone in pairs(MEDIAPIPE)}
    assert ours == {frozenset((joint, 0)) for joint in (9, 10, 11, 12)}


@pytest.mark.parametrize("name", shipped_layouts())
def test_names_of_the_sides_mirror_each_other(name: str) -> None:
    """Left and right are in the names, so the pairs can be told from them."""
    layout = load_layout(name)
    sided = {joint for joint in layout.joints if "left" in joint or "right" in joint}
    assert sided == {layout.joints[joint] for pair in layout.sides for joint in pair}
    for left, right in layout.sides:
        assert layout.joints[left].replace("left", "right") == layout.joints[right]
        assert (layout.side(left), layout.side(right)) == ("left", "right")
    for joint, parent in layout.bones:
        assert {layout.side(joint), layout.side(parent)} != {"left", "right"}
    assert layout.side(layout.root) == "middle"


def test_left_and_right_of_human36m_are_as_published() -> None:
    layout = load_layout("h36m17")
    assert sorted(left for left, _ in layout.sides) == H36M_LEFT
    assert sorted(right for _, right in layout.sides) == H36M_RIGHT


def test_shapes_and_colour_frames() -> None:
    assert {name: load_layout(name).shape for name in shipped_layouts()} == {
        name: (2, int(name[-2:]), 3) for name in shipped_layouts()
    }
    flat = {name for name in shipped_layouts() if not load_layout(name).three_d}
    assert flat == {"coco17", "openpose18", "openpose25"}
    frames = {name: load_layout(name).colour_frame for name in shipped_layouts()}
    assert {name: frame for name, frame in frames.items() if frame} == {"ntu25": (1920, 1080)}


@pytest.mark.parametrize("name", shipped_layouts())
def test_json_gives_the_same_skeleton(name: str) -> None:
    layout = load_layout(name)
    assert SkeletonLayout.from_json(layout.to_json()) == layout


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "x"}', '{"name": 3, "joints": "ab"}'])
def test_other_json_is_no_skeleton(text: str) -> None:
    with pytest.raises(ValueError, match="not a skeleton"):
        SkeletonLayout.from_json(text)


MINE: dict[str, Any] = {
    "coordinates": "3d",
    "joints": ["hip", "chest", "left hand", "right hand"],
    "bones": [["chest", "hip"], ["left hand", "chest"], [3, 1]],
    "sides": [["left hand", "right hand"]],
    "centre": "hip",
}


def written(folder: Path, content: object, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_a_file_may_name_joints_or_number_them(tmp_path: Path) -> None:
    layout = load_layout(written(tmp_path, MINE))
    assert layout == SkeletonLayout(
        "mine",
        ("hip", "chest", "left hand", "right hand"),
        (0, 0, 1, 1),
        "3d",
        centre=(0,),
        sides=((2, 3),),
    )
    assert load_layout(str(written(tmp_path, {**MINE, "centre": ["hip", 1]}))).centre == (0, 1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"bones": [[1, 0], [2, 1]]}, "'hip' and 'right hand' have no parent; a skeleton has one"),
        ({"bones": [[1, 2], [2, 3], [3, 1]]}, "the bones from 'chest' lead round in a circle"),
        ({"bones": [[0, 1], [1, 0], [2, 0], [3, 0]]}, "lead round in a circle"),
        ({"bones": [[1, 0], [1, 2], [2, 0], [3, 0]]}, "`bones` gives 'chest' two parents"),
        ({"bones": [[1, 1], [2, 1], [3, 1]]}, "`bones` joins 'chest' to itself"),
        ({"bones": [[4, 0]]}, "`bones` names joint 4; joints have their names, or numbers from 0"),
        ({"bones": [[-1, 0]]}, "`bones` names joint -1"),
        ({"bones": [["toe", 0]]}, "`bones` names joint 'toe'"),
        ({"bones": [[1, 0, 2]]}, r"`bones` needs pairs of joints, not \[1, 0, 2\]"),
        ({"bones": [[True, 0]]}, "`bones.0.0`: input should be"),
        ({"bones": None}, "`bones`: input should be a valid list"),
        ({"joints": ["hip", "chest", "hip", "hand"]}, "two joints are called 'hip'"),
        ({"joints": ["hip"]}, "`joints`: list should have at least 2 items"),
        ({"joints": ["hip", 1, "a", "b"]}, "`joints.1`: input should be a valid string"),
        ({"sides": [[2, 3], [3, 1]]}, "`sides` names 'right hand' twice"),
        ({"sides": [[2]]}, "`sides` needs pairs"),
        ({"centre": "navel"}, "`centre` names joint 'navel'"),
        ({"centre": []}, "`centre` is missing; name the joint"),
        ({"head": [1]}, "`head` needs pairs"),
        ({"persons": 0}, "`persons`: input should be greater than"),
        ({"colour_frame": [1920]}, r"`colour_frame` is \[width, height\] in pixels"),
        ({"colour_frame": [1920, 0]}, r"`colour_frame` is \[width, height\] in pixels"),
        ({"coordinates": "4d"}, "`coordinates`: input should be '3d' or '2d'"),
        ({"coordinates": "2d"}, "`centre` is for 3D joints; remove it"),
        ({"parents": [0]}, "there is no key `parents`; the keys are coordinates, joints, bones"),
    ],
)
def test_a_wrong_file_gets_one_sentence(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = written(tmp_path, {**MINE, **change})
    with pytest.raises(UserError, match=says) as raised:
        load_layout(path)
    assert str(raised.value).startswith(f"{path}: ") and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("joints: [", "not valid YAML"),
        ("joints: !!python/object:os.system x", "not valid YAML"),
        ("- hip", "it has no keys such as"),
        ("", "it has no keys such as"),
        ("coordinates: 3d", "the key `joints` is missing"),
        ("x" * (1 << 20) + "y", "too large"),
    ],
)
def test_a_file_of_something_else_gets_one_sentence(
    content: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=says):
        load_layout(written(tmp_path, content))


def test_bytes_that_are_no_text_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not valid YAML"):
        load_layout(tmp_path / "mine.yaml")
    with pytest.raises(UserError, match="cannot be read"):
        load_layout(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="cannot be read"):
        load_layout("x" * 300 + ".yaml")


def test_names(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no skeleton 'ntu52'; name one of azure32, coco17"):
        load_layout("ntu52")
    with pytest.raises(UserError, match="coco17 is the name of a shipped skeleton"):
        load_layout(written(tmp_path, MINE, "coco17.yaml"))
    with pytest.raises(UserError, match="'my skeleton' is no name"):
        load_layout(written(tmp_path, MINE, "my skeleton.yaml"))
    with pytest.raises(UserError, match="there is no skeleton"):
        load_layout("../../etc/passwd")
