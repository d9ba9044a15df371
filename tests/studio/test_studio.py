"""The studio: NTU files, joints on the drawn people, constant bones, reproducible bytes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2vl.studio.anatomy import ELBOW, HIP, KNEE, SHOULDER, WRIST, Joint, random_body
from c2vl.studio.broken import DAMAGES, break_sample, choose_broken
from c2vl.studio.cameras import camera
from c2vl.studio.cast import subject
from c2vl.studio.dataset import SKELETONS, VIDEOS, Take, film, takes
from c2vl.studio.kinematics import articulate, place, two_bones
from c2vl.studio.motion import Style
from c2vl.studio.ntu_files import orientations, skeleton_text
from c2vl.studio.performance import perform
from c2vl.studio.sensor import sense
from c2vl.studio.solo import SOLO_MOTIONS
from c2vl.studio.stills import still
from c2vl.studio.studio_params import StudioParams
from c2vl.studio.vocabulary import ACTIONS, PAIR, PHRASES, SOLO

PARAMS = StudioParams(
    seed=3, setups=3, subjects=4, repetitions=1, height=108, frames_per_second=15, broken=6
)


def read_skeleton(text: str) -> list[list[tuple[str, np.ndarray]]]:
    """Read the format line by line: for each frame, (body id, (25, 12) numbers) of each body."""
    lines = iter(text.splitlines())
    frames = []
    for _ in range(int(next(lines))):
        bodies = []
        for _ in range(int(next(lines))):
            fields = next(lines).split()
            assert len(fields) == 10
            assert next(lines) == "25"
            bodies.append(
                (fields[0], np.array([[float(x) for x in next(lines).split()] for _ in range(25)]))
            )
        frames.append(bodies)
    assert next(lines, None) is None
    return frames


def test_classes_are_at_least_16_and_3_of_them_have_two_people() -> None:
    assert (
        len(ACTIONS) >= 16
        and len(PAIR) >= 3
        and len(set(ACTIONS)) == len(ACTIONS) == len(SOLO) + len(PAIR)
    )


def test_most_phrases_are_shared_by_two_classes() -> None:
    rng = np.random.default_rng(0)
    cast = [subject(1, 1), subject(1, 2)]
    actions_of: dict[str, set[str]] = {phrase: set() for phrase in PHRASES.values()}
    for action in ACTIONS:
        for _ in range(3):
            for actor in perform(action, cast, rng, 15).actors:
                for phrase in actor.phrases:
                    actions_of[phrase].add(action)
    assert len(actions_of[PHRASES["wait"]]) == len(ACTIONS)
    shared = [phrase for phrase, actions in actions_of.items() if len(actions) >= 2]
    assert len(shared) >= len(PHRASES) - 2


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(SOLO_MOTIONS)), st.integers(0, 10_000))
def test_bones_keep_their_length_in_every_motion(action: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    body = random_body(rng)
    style = Style(amplitude=1.0, rate=1.0, onset=0.1, main=int(rng.integers(2)), rng=rng)
    joints = articulate(body, SOLO_MOTIONS[action](np.linspace(0, 1, 40), style))
    assert np.isfinite(joints).all()
    for a, b, length in [
        *((SHOULDER[s], ELBOW[s], body.upper_arm) for s in (0, 1)),
        *((ELBOW[s], WRIST[s], body.forearm) for s in (0, 1)),
        *((HIP[s], KNEE[s], body.thigh) for s in (0, 1)),
        (Joint.SPINE_BASE, Joint.SPINE_MID, body.torso / 2),
    ]:
        np.testing.assert_allclose(
            np.linalg.norm(joints[:, a] - joints[:, b], axis=-1), length, rtol=1e-6
        )
    assert joints[..., 1].min() > -0.12  # nobody sinks into the floor


def test_two_bones_reach_a_target_within_reach() -> None:
    root, target = np.zeros((1, 3)), np.array([[0.3, -0.2, 0.25]])
    middle, end = two_bones(root, target, 0.3, 0.28, np.array([[0.0, -1.0, 0.0]]))
    np.testing.assert_allclose(end, target, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(middle), 0.3, atol=1e-9)
    # Beyond reach the limb is stretched towards the target.
    _, far = two_bones(root, 10 * target, 0.3, 0.28, np.array([[0.0, -1.0, 0.0]]))
    np.testing.assert_allclose(
        far / np.linalg.norm(far), target / np.linalg.norm(target), atol=1e-9
    )


def test_placing_turns_the_forward_axis_to_the_yaw() -> None:
    forward = np.zeros((1, 25, 3))
    forward[..., 2] = 1.0
    np.testing.assert_allclose(
        place(forward, np.pi / 2, np.array([1.0, 0, 2.0]))[0, 0], [2.0, 0.0, 2.0], atol=1e-12
    )


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_middle_of_the_room_is_in_the_middle_of_the_image(number: int) -> None:
    view = camera(5, 2, number)
    np.testing.assert_allclose(view.axes @ view.axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(view.axes) == pytest.approx(1.0)
    pixel = view.colour(view.view(np.array([0.0, 0.92, 0.0])))
    # The colour camera sits 5 cm beside the depth camera.
    assert abs(pixel[0] - 960) < 30 and abs(pixel[1] - 540) < 1
    # Kinect's image is a mirror: a person who faces camera 2 has the left hand on the image's left.
    if number == 2:
        left, right = view.colour(view.view(np.array([[0.5, 1.0, 0.0], [-0.5, 1.0, 0.0]])))
        assert left[0] < right[0]


def test_orientations_turn_the_y_axis_to_the_bone() -> None:
    joints = np.random.default_rng(0).normal(size=(2, 25, 3))
    # The bone from the neck to the head.
    w, x, y, z = np.moveaxis(orientations(joints)[:, 3], -1, 0)
    turned = np.stack([2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)], -1)
    bone = joints[:, 3] - joints[:, 2]
    np.testing.assert_allclose(
        turned, bone / np.linalg.norm(bone, axis=-1, keepdims=True), atol=1e-6
    )


def test_stills_are_reproducible_and_joints_lie_in_the_boxes() -> None:
    inside = total = 0
    for seed in range(40, 64):
        a, b = still(seed, 108), still(seed, 108)
        np.testing.assert_array_equal(a.image, b.image)
        assert a.image.shape == (108, 192, 3)
        assert [one.facts for one in a.people] == [one.facts for one in b.people]
        for person in a.people:
            x0, y0, x1, y1 = person.box
            assert 0 <= x0 < x1 <= 192 and 0 <= y0 < y1 <= 108
            seen = (person.joints >= [x0 - 1, y0 - 1]) & (person.joints <= [x1 + 1, y1 + 1])
            inside += int(seen.all(1).sum())
            total += 25
    assert total > 300 and inside / total > 0.99


def test_colour_joints_of_written_files_lie_on_the_person(tmp_path: Path) -> None:
    views = film(PARAMS, Take(1, 1, 1, 1), tmp_path)
    names = sorted(path.name for path in (tmp_path / SKELETONS).iterdir())
    assert names == [f"S001C00{c}P001R001A001.skeleton" for c in (1, 2, 3)]
    for view, name in zip(views, names, strict=True):
        frames = read_skeleton((tmp_path / SKELETONS / name).read_text())
        video = cv2.VideoCapture(str(tmp_path / VIDEOS / name.replace(".skeleton", "_rgb.avi")))
        assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == len(frames) == len(view["answers"])
        boxes = {row["frame"]: row for row in view["people"]}
        hits = [
            (row["x0"] - 4 <= u * 0.1 <= row["x1"] + 4)
            and (row["y0"] - 4 <= v * 0.1 <= row["y1"] + 4)
            for frame, bodies in enumerate(frames)
            for _, numbers in bodies[:1]
            for u, v in numbers[:, 5:7]
            for row in [boxes[frame]]
        ]
        assert np.mean(hits) > 0.97
        for bodies in frames:
            for _, numbers in bodies:
                # Metres from the sensor.
                assert numbers[:, 2].min() > 0.5 and numbers[:, 2].max() < 6
                assert set(numbers[:, 11]) <= {1.0, 2.0}


def test_bytes_depend_on_the_seed_only(tmp_path: Path) -> None:
    for folder, params in (
        ("a", PARAMS),
        ("b", PARAMS),
        ("c", PARAMS.model_copy(update={"seed": 4})),
    ):
        film(params, Take(2, 2, 1, 17), tmp_path / folder)
    files = [
        path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()
    ]
    assert len(files) == 6
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
        assert (tmp_path / "a" / file).read_bytes() != (tmp_path / "c" / file).read_bytes()


def test_the_sensor_sometimes_loses_renames_and_adds_bodies() -> None:
    rng = np.random.default_rng(0)
    cast, view = [subject(1, 1), subject(1, 2)], camera(1, 1, 2)
    shows = [perform("wave a hand", cast, rng, 15) for _ in range(60)]
    sensed = [(len(show.actors[0].joints), sense(show, view, rng)) for show in shows]
    assert any(len({body.identity for body in bodies}) > 1 for _, bodies in sensed)
    assert any(
        len(np.unique(np.concatenate([b.frames for b in bodies]))) < n for n, bodies in sensed
    )
    for n, bodies in sensed:
        text = skeleton_text(bodies, n, view)
        assert sum(len(frame) for frame in read_skeleton(text)) == sum(
            len(body.frames) for body in bodies
        )


def test_takes_are_complete_and_an_unknown_action_is_named() -> None:
    assert len(takes(PARAMS)) == 4 * len(ACTIONS)
    few = PARAMS.model_copy(update={"actions": ["bow", "clap"]})
    assert {ACTIONS[take.action - 1] for take in takes(few)} == {"bow", "clap"}
    with pytest.raises(Exception, match="juggle"):
        takes(PARAMS.model_copy(update={"actions": ["juggle"]}))


def test_every_kind_of_damage_has_its_effect(tmp_path: Path) -> None:
    names = [f"S001C00{c}P001R001A001" for c in (1, 2, 3)] + [
        f"S001C00{c}P001R001A002" for c in (1, 2, 3)
    ]
    for action in (1, 2):
        film(PARAMS, Take(1, 1, 1, action), tmp_path)
    broken = choose_broken(names, 6, np.random.default_rng(0))
    assert sorted(broken.values()) == sorted(DAMAGES)
    for name, what in broken.items():
        skeleton, video = (
            tmp_path / SKELETONS / f"{name}.skeleton",
            tmp_path / VIDEOS / f"{name}_rgb.avi",
        )
        before = read_skeleton(skeleton.read_text()), video.stat().st_size
        break_sample(skeleton, video, what)
        if what == "missing skeleton":
            assert not skeleton.exists()
        elif what == "truncated skeleton":
            with pytest.raises((StopIteration, ValueError, AssertionError, RuntimeError)):
                read_skeleton(skeleton.read_text())
        elif what in ("no body in any frame", "first frames without a body"):
            after = read_skeleton(skeleton.read_text())
            empty = sum(not bodies for bodies in after)
            assert len(after) == len(before[0])
            assert (
                empty == len(after)
                if what == "no body in any frame"
                else len(after) // 4 <= empty < len(after)
            )
        else:
            assert video.stat().st_size == (0 if what == "empty video" else before[1] * 45 // 100)
