"""Finds the people and joints in the windows of one video, each frame and box once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from c2vl.commands.recognition.video_windows import Plan
from c2vl.prompts.pose.clip import Clip
from c2vl.prompts.pose.find_joints import FindJoints, Poses
from c2vl.prompts.pose.find_people import NOBODY as NO_BOXES
from c2vl.prompts.pose.find_people import Boxes, FindPeople
from c2vl.prompts.pose.video_poses import NOBODY, boxes_of, keep_liveliest
from c2vl.store.stage import Failure

AT_ONCE = 256  # frames between two steps of the progress bar

Done = Callable[[int], object]


def poses_of_windows(
    people: FindPeople, joints: FindJoints, video: Clip, plan: Plan, persons: int, done: Done
) -> list[Poses | Failure]:
    """The people of each window, as stage `pose` would find them if it were a clip.

    Args:
        people: finds people in frames.
        joints: finds joints of people.
        video: all frames of `plan` as one clip.
        plan: the windows.
        persons: most people of a window that are kept.
        done: is called with the number of frames in which people were found, and again with those
            in which joints were.
    """
    found = _people(people, video, done)
    if isinstance(found, Failure):
        return [found] * len(plan.windows)
    boxes = [
        boxes_of(part, looks) if looks else np.zeros((len(part.frames), 0, 4))
        for part, looks in (_cut(video, found, window) for window in plan.windows)
    ]
    shared, places = _shared(len(video.frames), plan.windows, boxes)
    whole = _joints(joints, video, shared, done)
    if isinstance(whole, Failure):
        return [whole] * len(plan.windows)
    return [
        keep_liveliest(_of_window(whole, window, place), persons) if place.shape[1] else NOBODY
        for window, place in zip(plan.windows, places, strict=True)
    ]


def _chunks(count: int) -> list[range]:
    return [range(at, min(at + AT_ONCE, count)) for at in range(0, count, AT_ONCE)]


def _cut(video: Clip, found: Sequence[Boxes], window: range) -> tuple[Clip, list[Boxes]]:
    """A part of the video as a clip, and what the detector found in it."""
    inside = [at for at, look in enumerate(video.looks) if look in window]
    looks = tuple(video.looks[at] - window.start for at in inside)
    part = replace(video, frames=video.frames[window.start : window.stop], looks=looks)
    return part, [found[at] for at in inside] if found else []


def _people(people: FindPeople, video: Clip, done: Done) -> list[Boxes] | Failure:
    """Boxes at each look, or why no frame can be seen."""
    boxes: list[Boxes] = []
    fault: Failure | None = None
    seen = False
    for chunk in _chunks(len(video.frames)):
        part, _ = _cut(video, [], chunk)
        if part.looks:
            [found] = people([part])
            if isinstance(found, Failure):
                fault, found = found, [NO_BOXES] * len(part.looks)
            else:
                seen = True
            boxes += found
        done(len(chunk))
    return boxes if seen or fault is None else fault


def _shared(
    count: int, windows: Sequence[range], boxes: Sequence[np.ndarray]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """The different boxes of each frame, (count, P, 4), NaN where there are fewer.

    Windows that overlap have most boxes in common. With it, for each window (F, its people): the
    place of each box among those of its frame, -1 where the person is not there.
    """
    different: list[dict[bytes, int]] = [{} for _ in range(count)]
    places = []
    for window, of_window in zip(windows, boxes, strict=True):
        place = np.full(of_window.shape[:2], -1)
        for at, person in np.argwhere(~np.isnan(of_window[..., 0])).tolist():
            known = different[window[at]]
            place[at, person] = known.setdefault(of_window[at, person].tobytes(), len(known))
        places.append(place)
    shared = np.full((count, max(map(len, different), default=0), 4), np.nan)
    for frame, known in enumerate(different):
        for box, number in known.items():
            shared[frame, number] = np.frombuffer(box)
    return shared, places


def _joints(joints: FindJoints, video: Clip, boxes: np.ndarray, done: Done) -> Poses | Failure:
    parts: list[Poses] = []
    fault: Failure = NOBODY
    for chunk in _chunks(len(video.frames)):
        some = slice(chunk.start, chunk.stop)
        part, _ = _cut(video, [], chunk)
        [found] = joints([part], [boxes[some]])
        if isinstance(found, Failure):
            fault = found
            empty = np.zeros((*boxes[some].shape[:2], 17, 3), np.float32)
            nowhere = np.full(boxes[some].shape, np.nan)
            found = Poses(np.array(part.frames), empty, nowhere, (0, 0), 0)
        parts.append(found)
        done(len(chunk))
    size = next((part.size for part in parts if part.size[0]), None)
    if size is None:
        return fault
    return Poses(
        np.concatenate([part.frames for part in parts]),
        np.concatenate([part.joints for part in parts]),
        np.concatenate([part.boxes for part in parts]),
        size,
        max(part.seen for part in parts),
        sum(part.undecoded for part in parts),
    )


def _of_window(whole: Poses, window: range, place: np.ndarray) -> Poses:
    """The people of one window out of the joints of all boxes."""
    frames = np.arange(window.start, window.stop)[:, None]
    absent = place < 0
    joints = whole.joints[frames, place]
    boxes = whole.boxes[frames, place]
    joints[absent], boxes[absent] = 0, np.nan
    numbers = whole.frames[window.start : window.stop]
    return Poses(numbers, joints, boxes, whole.size, place.shape[1], whole.undecoded)
