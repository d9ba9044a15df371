"""PCK and unbroken tracks against people whose joints are known."""

from __future__ import annotations

import numpy as np
import pytest

from c2vl.evaluation.scores.answers import Vocabulary
from c2vl.evaluation.scores.ground_truth import Truth
from c2vl.evaluation.scores.keypoints import pck, torso_sizes
from c2vl.evaluation.scores.poses import FoundPoses, pair, pose_scores

PERSON = np.zeros((17, 3))
PERSON[:, 0], PERSON[:, 1], PERSON[:, 2] = np.arange(17), np.arange(17) * 3, 1
PERSON[5, :2], PERSON[6, :2] = (10, 20), (40, 20)  # shoulders
PERSON[11, :2], PERSON[12, :2] = (10, 60), (40, 60)  # hips: the torso diameter is 50
BOX = np.array([0.0, 0.0, 40.0, 100.0])


def moved(x: float, y: float = 0.0) -> np.ndarray:
    return PERSON + np.array([x, y, 0])


def truth(people: list[np.ndarray], frames: int = 4) -> Truth:
    """The same people in each frame of clip `c`."""
    joints = {("c", at): np.stack(people).astype(np.float32) for at in range(frames)}
    boxes = {at: np.stack([BOX] * len(people)) for at in joints}
    return Truth(boxes, joints, {}, {}, Vocabulary((), (), ()))


def clip(*frames: list[np.ndarray | None]) -> FoundPoses:
    """A clip with these people in its slots; None is nobody."""
    nobody = np.full((17, 2), np.nan)
    joints = [[nobody if one is None else one[:, :2] for one in slots] for slots in frames]
    return FoundPoses("c", np.arange(len(frames)), np.array(joints))


def test_a_joint_is_right_within_a_fifth_of_the_torso() -> None:
    assert torso_sizes(PERSON[None]) == pytest.approx(50)
    found, seen = PERSON[None, :, :2].copy(), PERSON[None].copy()
    found[0, 0] += (9.9, 0)  # the nose
    found[0, 9] += (0, 10.1)  # the left wrist
    found[0, 10] += (99, 0)  # the right wrist, which cannot be seen
    seen[0, 10, 2] = 0
    scores = pck(found, seen, BOX[None])
    assert (scores["pck"], scores["joints"]) == (round(15 / 16, 4), 16)
    assert (scores["pck_nose"], scores["pck_wrists"], scores["pck_knees"]) == (1, 0, 1)
    assert scores["pck_box"] == 1  # a fifth of the box is 20 pixels


def test_people_who_are_not_found_have_no_right_joint() -> None:
    scores = pose_scores([clip(*[[moved(0), None]] * 4)], truth([moved(0), moved(300)]))
    assert (scores["pck"], scores["unbroken"], scores["persons"]) == (0.5, 0.5, 2)


def test_slots_may_come_in_any_order_but_must_stay() -> None:
    here, there = moved(0), moved(300)
    people = truth([here, there])
    assert pose_scores([clip(*[[there, here]] * 4)], people)["unbroken"] == 1
    swapped = clip([here, there], [here, there], [there, here], [there, here])
    scores = pose_scores([swapped], people)
    assert (scores["unbroken"], scores["pck"]) == (0, 1)
    gap = clip([here, there], [None, there], [here, there], [here, there])
    assert pose_scores([gap], people)["unbroken"] == 0.5


def test_who_cannot_be_seen_in_a_frame_need_not_be_found_there() -> None:
    hidden = moved(0)
    hidden[:, 2] = 0
    people = truth([moved(0)])
    people.joints["c", 2] = hidden[None].astype(np.float32)
    scores = pose_scores([clip([moved(0)], [moved(0)], [None], [moved(0)])], people)
    assert scores["unbroken"] == 1


def test_a_far_torso_is_another_person() -> None:
    assert pair(moved(24)[None, :, :2], PERSON[None]) == [0]
    assert pair(moved(26)[None, :, :2], PERSON[None]) == [-1]
