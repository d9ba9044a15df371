"""OpenPose's JSON: one file a frame in a folder, or all frames of a clip in one file.

A frame is `{"people": [{"person_id": [-1], "pose_keypoints_2d": [x, y, score, …]}, …]}`
(`pose_keypoints` in old versions). ST-GCN's Kinetics-Skeleton has one file a clip:
`{"data": [{"frame_index": 1, "skeleton": [{"pose": [x, y, …], "score": […]}, …]}, …]}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from c2vl.datasets.formats.follow import follow
from c2vl.datasets.formats.recording import Recording, recording
from c2vl.datasets.skeleton_file import SkeletonError

KEYS = ("pose_keypoints_2d", "pose_keypoints")


def is_frame(content: Any) -> bool:
    """Whether a JSON document is one frame of OpenPose's or of Kinetics-Skeleton."""
    return isinstance(content, dict) and any(
        isinstance(content.get(key), list) for key in ("people", "skeleton")
    )


def parse_frames(frames: Sequence[Any]) -> Recording:
    """Join the frames of a clip, in their order.

    Raises:
        SkeletonError: a frame is none, people have different numbers of joints, or nobody is in
            any frame.
    """
    people: list[list[np.ndarray]] = []
    ids: list[list[int]] = []
    for at, frame in enumerate(frames):
        if not is_frame(frame):
            raise SkeletonError(f"entry {at} is no frame with `people` or `skeleton`")
        found = [
            (joints, _id(one))
            for one in frame.get("people", frame.get("skeleton"))
            if (joints := _person(one, at)) is not None
        ]
        people.append([joints for joints, _ in found])
        ids.append([number for _, number in found])
    counts = {len(one) for frame in people for one in frame}
    if not counts:
        raise SkeletonError("nobody is in any frame")
    if len(counts) > 1:
        raise SkeletonError(f"its people have {' or '.join(map(str, sorted(counts)))} joints")
    empty = np.zeros((0, counts.pop(), 3), np.float32)
    arrays = [np.stack(frame) if frame else empty for frame in people]
    followed = all(number >= 0 for frame in ids for number in frame) and all(
        len(set(frame)) == len(frame) for frame in ids
    )
    joints = follow(arrays, ids if followed else None)
    return replace(recording(joints, followed=True), scored=True)


def _person(person: Any, at: int) -> np.ndarray | None:
    """(V, 3), or None if no joint was found."""
    if not isinstance(person, Mapping):
        raise SkeletonError(f"a person of frame {at} is no object")
    if "pose" in person:
        pose, score = _numbers(person["pose"], at), _numbers(person.get("score", []), at)
        if len(pose) != 2 * len(score):
            raise SkeletonError(f"frame {at} has {len(score)} scores for {len(pose)} numbers")
        joints = np.column_stack([pose.reshape(-1, 2), score])
    else:
        numbers = _numbers(next((person[key] for key in KEYS if key in person), []), at)
        if len(numbers) % 3:
            raise SkeletonError(f"a person of frame {at} has {len(numbers)} numbers, not x y score")
        joints = numbers.reshape(-1, 3)
    joints[joints[:, 2] <= 0] = 0
    return joints if joints.any() else None


def _numbers(values: Any, at: int) -> np.ndarray:
    try:
        numbers = np.asarray(values, np.float32)
    except (ValueError, TypeError, OverflowError):
        numbers = np.full((1, 1), np.nan)
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise SkeletonError(f"a person of frame {at} has something else than numbers")
    return numbers


def _id(person: Mapping[str, Any]) -> int:
    number = person.get("person_id", -1)
    number = number[0] if isinstance(number, list) and len(number) == 1 else number
    return number if isinstance(number, int) else -1
