"""Skeleton files of other kinds: what each holds comes out, damage is a sentence."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from c2vl.core.layout_file import load_layout
from c2vl.datasets.formats.arrays import parse_npy, parse_npz
from c2vl.datasets.formats.fit import fitted
from c2vl.datasets.formats.follow import follow
from c2vl.datasets.formats.json_skeleton import parse_json
from c2vl.datasets.formats.persons import choose_persons
from c2vl.datasets.formats.read import read_recording
from c2vl.datasets.formats.recording import Recording, recording
from c2vl.datasets.formats.utd_mat import parse_mat
from c2vl.datasets.raw_files import PlaceError
from c2vl.datasets.skeleton_file import SkeletonError

KINECT, COCO = load_layout("kinect20"), load_layout("coco17")
PARSERS = {"npy": parse_npy, "npz": parse_npz, "json": parse_json, "mat": parse_mat}


def saved(save: Callable[..., Any], *arguments: Any, **named: Any) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *arguments, **named)
    return buffer.getvalue()


def people(frames: int = 6, persons: int = 1, joints: int = 20, numbers: int = 3) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.normal(size=(frames, persons, joints, numbers)).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4", np.int32])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_out_as_numpy_wrote_them(dtype: Any, order: Any) -> None:
    joints = np.asarray(100 * people(persons=2), dtype=dtype, order=order)
    expected = joints.astype(np.float32)
    np.testing.assert_array_equal(parse_npy(saved(np.save, joints)).joints, expected)
    for save in (np.savez, np.savez_compressed):
        for name in ("joints", "arr_0", "anything"):
            data = saved(save, **{name: joints})
            np.testing.assert_array_equal(parse_npz(data).joints, expected)
    one = parse_npy(saved(np.save, joints[:, 0]))  # (T, V, C)
    np.testing.assert_array_equal(one.joints[:, 0], expected[:, 0])


def test_scores_may_stand_beside_2d_joints() -> None:
    joints = people(numbers=2, joints=17)
    scores = np.random.default_rng(1).random(joints.shape[:-1])
    found = parse_npz(saved(np.savez, keypoints=joints, scores=scores)).joints
    np.testing.assert_array_equal(
        found, np.dstack([joints[:, 0], scores[:, 0]])[:, None].astype("f4")
    )
    with pytest.raises(SkeletonError, match="do not fit"):
        parse_npz(saved(np.savez, keypoints=joints, scores=scores[:1]))


def test_northwestern_ucla_as_ctrgcn_distributes_it() -> None:
    joints = people(24)[:, 0].astype(float)
    content = {"file_name": "a01_s01_e00_v01", "skeletons": joints.tolist(), "label": 1}
    text = json.dumps(content)
    for data in (
        text.encode(),
        b"\xef\xbb\xbf" + text.encode(),
        text.encode("utf-16"),
        repr(content).encode(),  # printed by Python: single quotes
        json.dumps(joints.tolist()).encode(),
        json.dumps(joints[:, None].tolist()).encode(),
    ):
        found = fitted(parse_json(data), KINECT)
        np.testing.assert_array_equal(found[:, 0], joints.astype(np.float32))
        assert not found[:, 1].any()


def test_utd_mhad_comes_in_the_order_of_the_kinect() -> None:
    names = ["head", "middle of the shoulders", "spine", "middle of the hips"]  # as its page says
    names += KINECT.joints[4:]
    joints = people(50)[:, 0].astype(float)  # (T, V, C) in the order of the Kinect
    theirs = joints[:, [KINECT.joints.index(name) for name in names]]
    data = saved(savemat, {"d_skel": theirs.transpose(1, 2, 0)})
    np.testing.assert_array_equal(parse_mat(data).joints[:, 0], joints.astype(np.float32))
    single = saved(savemat, {"d_skel": theirs[0]})
    np.testing.assert_array_equal(parse_mat(single).joints[0, 0], joints[0].astype(np.float32))
    for content, why in (
        ({"d_iner": np.zeros((9, 6))}, "no `d_skel`, only d_iner"),
        ({"d_skel": np.zeros((20, 4, 9))}, "shape"),
        ({"d_skel": np.array(["x"], object)}, "no array of real numbers"),
    ):
        with pytest.raises(SkeletonError, match=why):
            parse_mat(saved(savemat, content))


def openpose(joints: np.ndarray, key: str = "pose_keypoints_2d", **person: Any) -> dict[str, Any]:
    return {
        "version": 1.3,
        "people": [{**person, key: one.reshape(-1).tolist()} for one in joints],
    }


def walkers(frames: int = 30) -> np.ndarray:
    """(T, 2, 25, 3): two people walk past each other."""
    joints = people(1, 2, 25)[0][None].repeat(frames, 0) * 20 + 300
    joints[..., 2] = 0.9
    joints[:, 0, :, 0] += np.arange(frames)[:, None] * 8
    joints[:, 1, :, 0] += 400 - np.arange(frames)[:, None] * 8
    joints[:, 1, :, 1] += 30
    return joints


def test_openpose_people_are_followed_whatever_their_order(tmp_path: Path) -> None:
    joints = walkers()
    random = np.random.default_rng(2)
    shuffled = [frame[random.permutation(2)] for frame in joints]
    folder = tmp_path / "clip"
    folder.mkdir()
    for at, frame in enumerate(shuffled):  # 9 before 10, which their names alone do not say
        (folder / f"clip_{at}_keypoints.json").write_text(json.dumps(openpose(frame)))
    frames = [openpose(frame) for frame in shuffled]
    found = [
        read_recording(tmp_path, "clip")[0],
        parse_json(json.dumps(frames).encode()),
        parse_json(json.dumps({"data": frames}).encode()),
        parse_json(json.dumps([openpose(f, "pose_keypoints") for f in shuffled]).encode()),
    ]
    first = int(np.argmin(np.abs(joints[0] - shuffled[0][0]).sum((1, 2))))
    for one in found:
        np.testing.assert_array_equal(one.joints, joints[:, [first, 1 - first]])


def test_person_ids_are_believed() -> None:
    joints = walkers()
    frames = [openpose(frame[::-1]) for frame in joints]
    for frame in frames:
        frame["people"][0]["person_id"], frame["people"][1]["person_id"] = [7], [3]
    found = parse_json(json.dumps(frames).encode()).joints
    np.testing.assert_array_equal(found, joints[:, ::-1])


def test_kinetics_skeleton_of_stgcn() -> None:
    joints = walkers()[..., :18, :]
    data = [
        {
            "frame_index": at + 1,
            "skeleton": [
                {"pose": one[:, :2].reshape(-1).tolist(), "score": one[:, 2].tolist()}
                for one in frame
            ],
        }
        for at, frame in enumerate(joints)
    ]
    data.insert(5, {"frame_index": 6, "skeleton": []})
    content = {"data": data, "label": "abseiling", "label_index": 0}
    found = parse_json(json.dumps(content).encode()).joints
    np.testing.assert_array_equal(np.delete(found, 5, 0), joints)
    assert not found[5].any()


def test_somebody_who_is_gone_for_long_is_another_person() -> None:
    person = walkers()[:1, :1].repeat(60, 0)[:, 0]
    frames = [
        one[None] if at < 10 or at > 40 else one[:0].reshape(0, 25, 3)
        for at, one in enumerate(person)
    ]
    assert follow(frames).shape[1] == 2
    short = [
        one[None] if at < 10 or at > 15 else one[:0].reshape(0, 25, 3)
        for at, one in enumerate(person)
    ]
    assert follow(short).shape[1] == 1


def test_the_liveliest_persons_are_kept() -> None:
    random = np.random.default_rng(3)
    joints = np.zeros((40, 4, 17, 3), np.float32)
    joints[..., :2] = random.normal(size=(1, 4, 17, 2)) * 50 + 200
    joints[..., 2] = 0.9
    wave = 20 * np.sin(np.arange(40))[:, None]
    joints[:, 1, :, 0] += wave
    joints[:, 3, :, 0] += 2 * wave
    joints[:, 2, :, 0] += 5 * wave  # a glimpse, and unsure
    joints[3:, 2] = 0
    joints[:, 2, :, 2] *= 0.2
    found = choose_persons(joints, 2, scored=True)
    np.testing.assert_array_equal(found, joints[:, [3, 1]])
    np.testing.assert_array_equal(choose_persons(joints, 4, scored=True), joints)
    joints[:, 0] = 0  # of no more than asked for, the order stays, without those never there
    np.testing.assert_array_equal(choose_persons(joints, 3, scored=True)[:, :3], joints[:, 1:])


def test_gaps_in_2d_have_no_score_and_in_3d_are_refused() -> None:
    joints = people(joints=17, numbers=2, persons=2)
    joints[2, 0, 5] = np.nan
    joints[3, 1] = np.nan
    found = fitted(Recording(joints), COCO)
    assert not found[2, 0, 5].any() and not found[3, 1].any()
    assert (found[..., 2] == 1).sum() == 2 * 6 * 17 - 1 - 17
    joints = people(persons=2)
    joints[3, 1] = np.nan
    assert not fitted(Recording(joints), KINECT)[3, 1].any()
    joints[2, 0, 5] = np.nan
    with pytest.raises(SkeletonError, match="joint 5 has no position in frame 2"):
        fitted(Recording(joints), KINECT)


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ((6, 1, 25, 3), "has 25 joints .* the skeleton kinect20 has 20"),
        ((6, 1, 20, 2), "a joint has 2 numbers"),
    ],
)
def test_another_skeleton_is_named(shape: tuple[int, ...], why: str) -> None:
    with pytest.raises(SkeletonError, match=why):
        fitted(recording(np.ones(shape)), KINECT)


class Danger:
    def __reduce__(self) -> Any:
        return (print, ("danger",))


@pytest.mark.parametrize(
    ("suffix", "data", "why"),
    [
        ("npy", b"", "no array"),
        ("npy", saved(np.save, people())[:-5], "cut short"),
        ("npy", saved(np.save, np.array([Danger()], object), allow_pickle=True), "never unpickled"),
        ("npy", saved(np.save, np.zeros((3, 300, 20))), "shape"),
        ("npy", saved(np.save, np.zeros((20, 300, 20, 3))), "order of the axes"),
        ("npy", saved(np.save, np.full((2, 1, 20, 3), np.inf)), "infinite or absurd"),
        ("npy", saved(np.save, np.array("text")), "not numbers"),
        ("npz", b"PK\x03\x04", "damaged"),
        ("npz", saved(np.savez, a=people(), b=people()), "none of its arrays"),
        ("json", b"", "empty"),
        ("json", b"\xff\xfe\x00", "not text"),
        ("json", b"{'a': __import__('os')}", "no JSON"),
        ("json", b"[" * 100_000, "nested|no JSON"),
        ("json", b"[[[1, 2], [3]]]", "different lengths"),
        ("json", b'[[["a", "b"]]]', "no numbers"),
        ("json", b"[]", "no frames"),
        ("json", b'{"joint": []}', "none of the keys"),
        ("json", b'{"people": []}', "nobody"),
        ("json", b'[{"people": [{"pose_keypoints_2d": [1, 2]}]}]', "not x y score"),
        ("json", b'[{"people": [{"pose_keypoints_2d": ["a"]}]}]', "something else than numbers"),
        ("json", b'[{"people": [3]}]', "no object"),
        ("json", b"[{}]", "no frame"),
        ("mat", b"MATLAB 5.0", "MATLAB"),
    ],
)
def test_damage_is_a_sentence(suffix: str, data: bytes, why: str) -> None:
    with pytest.raises(SkeletonError, match=why) as found:
        PARSERS[suffix](data)
    assert "\n" not in str(found.value)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([*PARSERS]), st.data())
def test_no_damage_is_a_crash(noise: bytes, suffix: str, data: Any) -> None:
    whole = {
        "npy": saved(np.save, people(2)),
        "npz": saved(np.savez_compressed, joints=people(2)),
        "json": json.dumps(people(2).tolist()).encode(),
        "mat": saved(savemat, {"d_skel": people(2)[:, 0].transpose(1, 2, 0)}),
    }[suffix]
    at = data.draw(st.integers(0, len(whole)))
    for damaged in (noise, whole[:at], whole[:at] + noise + whole[at + len(noise) :]):
        with contextlib.suppress(SkeletonError):
            PARSERS[suffix](damaged)


def test_places_stay_in_the_raw_folder(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    np.save(tmp_path / "secret.npy", people())
    for place in ("../secret.npy", str(tmp_path / "secret.npy"), "..", "x/../../secret.npy"):
        with pytest.raises((PlaceError, SkeletonError), match=r"leads out|not read"):
            read_recording(tmp_path / "raw", place)
    with pytest.raises(PlaceError, match="cannot be read"):
        read_recording(tmp_path / "raw", "no.npy")
    with pytest.raises(SkeletonError, match="not read; use"):
        read_recording(tmp_path / "raw", "walk.bvh")
