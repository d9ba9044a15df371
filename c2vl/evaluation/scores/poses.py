"""Skeletons found in videos against the truth: joints (PCK), and people lost or mixed up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from c2vl.evaluation.scores.ground_truth import Truth
from c2vl.evaluation.scores.keypoints import JOINTS, pck, torso_sizes

TORSO = [5, 6, 11, 12]  # shoulders and hips, of COCO's joints
NOT_FOUND = np.full((JOINTS, 2), np.nan, np.float32)
NEAR = 0.5  # of a torso diameter: a found torso that is a true one


@dataclass(frozen=True)
class FoundPoses:
    """The skeletons of a clip.

    Attributes:
        sample: its id.
        frames: (F,) numbers of frames of the video.
        joints: (F, M, 17, 2) pixels of the video, NaN where a person is not there.
    """

    sample: str
    frames: np.ndarray
    joints: np.ndarray


def pose_scores(clips: Iterable[FoundPoses], truth: Truth) -> dict[str, Any]:
    """PCK over all people in all these frames, and the share of people followed without a break.

    In each frame, found and true people are paired by their torsos (Hungarian method). A person is
    followed without a break if the same slot is theirs in each of these frames in which a joint of
    theirs can be seen.

    Returns:
        `pck`, `pck_box`, `pck_<joint>`, `joints` and `people` of `keypoints.pck`; `unbroken`,
        `persons` and `clips`.
    """
    found, true, boxes = [], [], []
    persons = unbroken = count = 0
    for clip in clips:
        of_person: dict[int, list[int]] = {}
        count += 1
        for frame, joints in zip(clip.frames.tolist(), clip.joints, strict=True):
            here = truth.joints.get((clip.sample, frame))
            if here is None or not len(here):
                continue
            slots = pair(joints, here)
            found.append(np.stack([joints[slot] if slot >= 0 else NOT_FOUND for slot in slots]))
            true.append(here)
            boxes.append(truth.boxes[clip.sample, frame])
            for person, (slot, one) in enumerate(zip(slots, here, strict=True)):
                if one[:, 2].any():
                    of_person.setdefault(person, []).append(slot)
        persons += len(of_person)
        unbroken += sum(len({*own}) == 1 and own[0] >= 0 for own in of_person.values())
    if not true:
        return {}
    return {
        **pck(np.concatenate(found), np.concatenate(true), np.concatenate(boxes)),
        "unbroken": round(unbroken / persons, 4),
        "persons": persons,
        "clips": count,
    }


def pair(found: np.ndarray, true: np.ndarray) -> list[int]:
    """The slot of each true person (N, 17, 3) among found ones (M, 17, 2), -1 where nobody is."""
    away = np.linalg.norm(found[:, None, TORSO] - true[None, :, TORSO, :2], axis=-1)
    known = np.isfinite(away)
    mean = np.where(known, away, 0).sum(-1) / np.maximum(known.sum(-1), 1)
    cost = np.where(known.any(-1), mean / torso_sizes(true), np.inf)
    rows, columns = linear_sum_assignment(np.minimum(cost, 2 * NEAR))
    slots = [-1] * len(true)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if cost[row, column] <= NEAR:
            slots[column] = row
    return slots
