"""The people of a video and their 2D joints: found, followed, and the liveliest of them kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from c2vl.datasets.formats.persons import liveliness
from c2vl.prompts.pose.clip import Clip
from c2vl.prompts.pose.find_joints import FindJoints, Poses
from c2vl.prompts.pose.find_people import Boxes, FindPeople
from c2vl.prompts.pose.tracking import Track, follow
from c2vl.store.stage import Failure

MOST_FOLLOWED = 6  # people whose joints are found before the liveliest are kept
FEWEST_LOOKS = 2  # a person found once is a mistake or a glimpse, where others are found more often
NOBODY = Failure("nobody", "nobody was found in the video; it may show no person, or a small one")


class VideoPoses:
    """Turns clips of videos into joints; the same for a stage's batches and for one video.

    Args:
        people: finds the people of clips.
        joints: finds the joints of people.
        persons: most people of a clip that are kept.
    """

    def __init__(self, people: FindPeople, joints: FindJoints, persons: int = 2) -> None:
        self._people, self._joints, self._persons = people, joints, persons

    def __call__(self, clips: Sequence[Clip]) -> list[Poses | Failure]:
        """The kept people of each clip, the liveliest first, or why there are none."""
        found = self._people(clips)
        boxes = [
            one if isinstance(one, Failure) else boxes_of(clip, one)
            for clip, one in zip(clips, found, strict=True)
        ]
        results: list[Poses | Failure] = [
            one if isinstance(one, Failure) else NOBODY for one in boxes
        ]
        seen = [at for at, one in enumerate(boxes) if not isinstance(one, Failure) and one.shape[1]]
        poses = self._joints([clips[at] for at in seen], [boxes[at] for at in seen])  # type: ignore[misc]
        for at, one in zip(seen, poses, strict=True):
            results[at] = one if isinstance(one, Failure) else keep_liveliest(one, self._persons)
        return results


def boxes_of(clip: Clip, found: Sequence[Boxes]) -> np.ndarray:
    """Boxes (F, P, 4) of the people who are followed, NaN where they are not there."""
    count = len(clip.frames)
    tracks = followed(follow(clip.looks, found))
    boxes = [track.boxes_in(count, clip.looks) for track in tracks]
    return np.stack(boxes, 1) if boxes else np.zeros((count, 0, 4))


def followed(tracks: Sequence[Track]) -> list[Track]:
    """The tracks worth finding joints for: the surest, without glimpses."""
    longest = max((len(track.looks) for track in tracks), default=0)
    least = min(FEWEST_LOOKS, longest)
    worth = [track for track in tracks if len(track.looks) >= least]
    return sorted(worth, key=lambda track: -float(track.scores.sum()))[:MOST_FOLLOWED]


def keep_liveliest(poses: Poses, persons: int) -> Poses:
    """Keep the people who move most, the liveliest first (`liveliness`, as for other 2D files)."""
    there = np.asarray(poses.joints.any(axis=(2, 3)))
    present = np.flatnonzero(there.any(axis=0))
    lively = [
        liveliness(poses.joints[:, person], there[:, person], scored=True) for person in present
    ]
    kept = present[np.argsort(lively, kind="stable")[::-1][:persons]]
    return replace(poses, joints=poses.joints[:, kept], boxes=poses.boxes[:, kept])
