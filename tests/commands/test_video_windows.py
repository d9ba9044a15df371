"""How `c2vl predict` cuts videos: windows are clips as stage `pose` takes them; the timeline."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import write_data

from c2vl.commands.recognition.arguments import Length, length
from c2vl.commands.recognition.timeline import timeline
from c2vl.commands.recognition.video_poses import poses_of_windows
from c2vl.commands.recognition.video_windows import (
    Plan,
    frames_of,
    one_clip,
    sliding,
    training_lengths,
)
from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.layout_file import shipped_layout
from c2vl.prompts.pose.clip import Clip, looks_at, sampled
from c2vl.prompts.pose.find_joints import Poses
from c2vl.prompts.pose.video_poses import VideoPoses
from c2vl.store.stage import Failure

LOOK_EVERY = 4


@given(
    begin=st.integers(0, 50),
    count=st.integers(2, 700),
    window=st.integers(1, 120),
    stride=st.integers(1, 120),
    most=st.integers(1, 90),
)
def test_windows_cover_the_video(
    begin: int, count: int, window: int, stride: int, most: int
) -> None:
    window = min(window, count)
    stride = min(stride, window)
    plan = sliding(begin, begin + count, window, stride, most, LOOK_EVERY)
    assert plan.spans[0][0] == begin and plan.spans[-1][1] == begin + count
    assert {len(one) for one in plan.windows} == {min(window, most)}
    assert list(plan.frames) == sorted(plan.frames)
    assert begin <= plan.frames[0] and plan.frames[-1] < begin + count
    for (first, last), (again, _) in zip(plan.spans, plan.spans[1:], strict=False):
        assert first < again, "it slides"
        if stride + LOOK_EVERY * window / min(window, most) <= window:
            assert again <= last, "nothing is left out"
    for one, (first, last) in zip(plan.windows, plan.spans, strict=True):
        inside = plan.frames[one.start : one.stop]
        assert first - 1 <= inside[0] and inside[-1] <= last


@pytest.mark.parametrize("most", [40, 20, 10])
def test_a_window_has_the_frames_and_looks_of_a_clip(most: int) -> None:
    plan = sliding(0, 400, 40, 16, most, LOOK_EVERY)
    for one, (first, last) in [*zip(plan.windows, plan.spans, strict=True)][:-1]:
        assert plan.frames[one.start : one.stop] == sampled(first, last, most)
        looks = tuple(look - one.start for look in plan.looks if look in one)
        assert looks == looks_at(most, LOOK_EVERY)
    assert one_clip(3, 403, most, LOOK_EVERY).frames == sampled(3, 403, most)


def box(frame: int, person: int) -> list[float]:
    """A box that moves evenly; the second person is there in some frames only."""
    left = 2.0 * frame + 300 * person
    return [left, 10.0, left + 60, 190.0]


class People:
    """Stands for the detector: two people, the second in frames 50 to 89 and from 130 on."""

    def __init__(self) -> None:
        self.seen: Counter[int] = Counter()

    def __call__(self, clips: Sequence[Clip]) -> list[list[tuple[np.ndarray, np.ndarray]]]:
        return [[self.at(clip.frames[look]) for look in clip.looks] for clip in clips]

    def at(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        self.seen[frame] += 1
        count = 2 if 50 <= frame < 90 or frame >= 130 else 1
        boxes = np.array([box(frame, person) for person in range(count)], np.float32)
        return boxes, np.full(count, 0.9, np.float32)


class Joints:
    """Stands for the pose engine: joints that follow from the frame and the box."""

    def __init__(self) -> None:
        self.found = 0

    def __call__(self, clips: Sequence[Clip], boxes: Sequence[np.ndarray]) -> list[Poses | Failure]:
        return [self.of(*pair) for pair in zip(clips, boxes, strict=True)]

    def of(self, clip: Clip, boxes: np.ndarray) -> Poses:
        joints = np.zeros((*boxes.shape[:2], 17, 3), np.float32)
        for at, person in np.argwhere(~np.isnan(boxes[..., 0])):
            self.found += 1
            rng = np.random.default_rng([clip.frames[at], int(boxes[at, person, 0])])
            joints[at, person] = rng.uniform(0.2, 1, (17, 3)) * [200, 200, 1]
        return Poses(np.array(clip.frames), joints, boxes, (640, 360), boxes.shape[1])


def whole(plan: Plan) -> Clip:
    return Clip(Path(), "v.avi", "", plan.frames, plan.looks)


def test_windows_have_the_people_that_the_stage_would_find_in_them() -> None:
    """Each frame is looked at once, and a box that windows share gets its joints once."""
    plan = sliding(0, 600, 40, 16, 40, LOOK_EVERY)
    people, joints, done = People(), Joints(), Counter[str]()
    found = poses_of_windows(
        people, joints, whole(plan), plan, 2, lambda frames: done.update(frames=frames)
    )
    assert max(people.seen.values()) == 1 and set(people.seen) == {
        plan.frames[look] for look in plan.looks
    }
    alone = Joints()
    assert done["frames"] == 2 * len(plan.frames)
    for one, window in zip(found, plan.windows, strict=True):
        frames = plan.frames[window.start : window.stop]
        looks = tuple(look - window.start for look in plan.looks if look in window)
        clip = replace(whole(plan), frames=frames, looks=looks)
        [expected] = VideoPoses(People(), alone, 2)([clip])  # type: ignore[arg-type]
        assert isinstance(one, Poses) and isinstance(expected, Poses)
        np.testing.assert_array_equal(one.joints, expected.joints)
        np.testing.assert_array_equal(one.boxes, expected.boxes)
        np.testing.assert_array_equal(one.frames, expected.frames)
    assert joints.found < 0.6 * alone.found


def test_a_window_without_people_has_a_reason_and_the_others_have_theirs() -> None:
    class Half(People):
        def at(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
            boxes, scores = super().at(frame)
            return (boxes, scores) if frame < 100 else (boxes[:0], scores[:0])

    plan = sliding(0, 200, 40, 40, 40, LOOK_EVERY)
    found = poses_of_windows(Half(), Joints(), whole(plan), plan, 2, lambda frames: None)  # type: ignore[arg-type]
    assert [isinstance(one, Failure) for one in found] == [False, False, False, True, True]


def test_the_timeline_is_the_mean_of_the_windows_over_each_moment() -> None:
    sure, other, unsure = np.array([0.9, 0.1]), np.array([0.2, 0.8]), np.array([0.5, 0.5])
    spans = ((0, 40), (20, 60), (40, 80), (60, 100), (80, 120), (100, 140))
    found = timeline(spans, [sure, unsure, other, None, None, None])
    assert [(one.begin, one.stop, one.label) for one in found] == [
        (0, 40, 0), (40, 80, 1), (80, 140, None),
    ]  # fmt: skip
    first, second, nobody = (one.scores for one in found)
    assert first is not None and second is not None and nobody is None
    np.testing.assert_allclose(first, ((0.9 + 0.7) / 2, (0.1 + 0.3) / 2))
    np.testing.assert_allclose(second, ((0.35 + 0.2) / 2, (0.65 + 0.8) / 2))


def test_lengths_are_frames_or_seconds() -> None:
    assert frames_of(length("60"), 0) == 60 and frames_of(length("2.5s"), 30) == 75
    assert frames_of(length("all"), 30) is None and frames_of(length("0.01s"), 15) == 1
    for text in ("", "s", "-3", "0", "nan", "inf", "1e12", "2m"):
        with pytest.raises(argparse.ArgumentTypeError):
            length(text)
    with pytest.raises(UserError, match="does not say its frames per second"):
        frames_of(Length(2.0, True), 0)


def test_the_training_clips_say_how_long_a_window_is(tmp_path: Path) -> None:
    layout = shipped_layout("coco17")
    assert training_lengths(tmp_path) is None
    write_data(tmp_path, layout=layout)
    assert training_lengths(tmp_path) is None, "the table does not say it"
    shard = tmp_path / "skeleton/S001C001.parquet"
    rows = tables.rows_of(tables.read(shard))
    for number, row in enumerate(rows):
        row["file_frames"] = 10 + number if row["status"] == "ok" else 9999
    tables.write(shard, tables.table_of(rows, tables.schemas.skeleton(layout)))
    found = training_lengths(tmp_path)
    assert found is not None and (found.median, found.longest) == (42, 73)
