"""The skeleton line of GAP / CTR-GCN: from a `.skeleton` file to the joints of two actors."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field

from c2vl.core.params import ParamsModel
from c2vl.datasets.skeleton_file import SkeletonError, SkeletonFile
from c2vl.datasets.skeletons.actors import Slots, assign
from c2vl.datasets.skeletons.bodies import Rules, read_bodies
from c2vl.datasets.skeletons.denoise import keep_people

Solo = Literal["zeros", "copy"]
CENTRE = 1  # joint 2 of the Kinect's numbering: the middle of the spine
ONE_POINT = "all joints of the clip lie in one point: nothing is left of it once it is centred"


class SkeletonParams(ParamsModel):
    """Section `skeleton` of `params.yaml`."""

    rules: Rules = Field(
        description="`ctrgcn`: the published line, oddities included; `aligned`: frame numbers mended."
    )
    solo: Solo | None = Field(
        default=None,
        description="Second slot of one-person clips; empty: NTU60 zeros, NTU120 copy.",
    )
    max_failed: float = Field(
        ge=0, le=1, description="Share of failed samples above which the stage fails."
    )

    def solo_of(self, dataset: str) -> Solo:
        """`solo`, or what the field's published files of `dataset` hold."""
        return self.solo or ("copy" if dataset == "ntu120" else "zeros")


@dataclass(frozen=True)
class Log:
    """What was done to a clip.

    Attributes:
        bodies_seen: body ids in the file.
        bodies_dropped: of these, not used for either actor.
        frames_dropped: frames of the file that the joints lack.
        merged: bodies written into an actor that already had one.
        rules_differ: actor-frames of the output that the rules `ctrgcn` and `aligned` give differently.
        note: where the published rules had to be completed, how; else empty.
    """

    bodies_seen: int
    bodies_dropped: int
    frames_dropped: int
    merged: int
    rules_differ: int
    note: str


@dataclass(frozen=True)
class Actors:
    """A clip after the line: T frames of two actors; F frames in the file.

    Attributes:
        joints: (T, 2, 25, 3) float32, metres, centred on joint 2 of actor 1's first real frame; zero where absent.
        bodies: real actors, 1 or 2 (a copy in the second slot does not count).
        colour: (F, 2, 25, 2) float32, pixels of the 1920x1080 frame, by frame of the file; NaN where absent.
        tracked: (F, 2, 25) uint8, tracking state, 0 where absent.
        log: what was done.
    """

    joints: np.ndarray
    bodies: int
    colour: np.ndarray
    tracked: np.ndarray
    log: Log

    def row(self) -> dict[str, Any]:
        """The columns of the skeleton table, all but the sample's id and outcome."""
        return {
            "frames": len(self.joints),
            "bodies": self.bodies,
            "joints": self.joints,
            "file_frames": len(self.colour),
            "colour": self.colour,
            "tracked": self.tracked,
            **asdict(self.log),
        }


def denoise(file: SkeletonFile, rules: Rules = "ctrgcn", solo: Solo = "zeros") -> Actors:
    """Apply the line to a parsed file.

    Args:
        file: the bodies of each frame.
        rules: `ctrgcn` gives exactly the published output; `aligned` keeps bodies at their own frames after a gap.
        solo: what the second slot of a clip of one body holds.

    Raises:
        SkeletonError: no frame holds a body, or nothing but zeros is left.
    """
    joints, slots, seen, note = _clip(file, rules, solo)
    colour, tracked = _by_frame(file, slots)
    if slots.late:
        note = "; ".join(
            filter(
                None,
                [
                    note,
                    f"a body appears twice in a frame: {slots.late} frames past the end dropped",
                ],
            )
        )
    log = Log(
        bodies_seen=seen,
        bodies_dropped=seen - sum(map(len, slots.members)),
        frames_dropped=file.frames - len(joints),
        merged=sum(max(len(members) - 1, 0) for members in slots.members),
        rules_differ=_differences(file, joints, rules, solo),
        note=note,
    )
    return Actors(joints, sum(bool(members) for members in slots.members), colour, tracked, log)


def _clip(file: SkeletonFile, rules: Rules, solo: Solo) -> tuple[np.ndarray, Slots, int, str]:
    bodies, frames = read_bodies(file, rules)
    if not bodies:
        raise SkeletonError("no frame of the skeleton file holds a body")
    people, note = keep_people(bodies) if len(bodies) > 1 else (bodies, "")
    slots = assign(people, frames)
    joints = slots.joints
    if len(bodies) > 1:
        joints = joints[_present(joints).any(axis=1)]
    joints = centred(joints)
    if solo == "copy" and len(people) == 1:
        joints[:, 1] = joints[:, 0]
    return joints, slots, len(bodies), note


def _present(joints: np.ndarray) -> np.ndarray:
    """(T, 2) bool: the 75 values of an actor's frame do not sum to zero."""
    return np.asarray(joints.reshape(len(joints), 2, -1).sum(axis=2) != 0)


def centred(joints: np.ndarray) -> np.ndarray:
    """Subtract joint 2 of actor 1's first frame with any non-zero value from (T, 2, 25, 3); absent frames stay zero.

    Raises:
        SkeletonError: actor 1 has no such frame, or nothing is left: a view needs a frame whose values do not sum to zero.
    """
    real = joints[:, 0].any(axis=(1, 2))
    if not real.any():
        raise SkeletonError("the joints of the first actor are all zero")
    centred = joints - joints[real.argmax(), 0, CENTRE]
    centred[~_present(joints)] = 0
    if not _present(centred).any():
        raise SkeletonError(ONE_POINT)
    return centred


def _by_frame(file: SkeletonFile, slots: Slots) -> tuple[np.ndarray, np.ndarray]:
    """Colour joints and tracking states of the bodies that became the actors, at their own frames of the file."""
    colour = np.full((file.frames, 2, 25, 2), np.nan, np.float32)
    tracked = np.zeros((file.frames, 2, 25), np.uint8)
    for slot, members in enumerate(slots.members):
        for body in members:
            colour[file.frame[body.records], slot] = file.colour[body.records]
            tracked[file.frame[body.records], slot] = file.tracked[body.records]
    return colour, tracked


def _differences(file: SkeletonFile, joints: np.ndarray, rules: Rules, solo: Solo) -> int:
    """Actor-frames where the other rules give another output; frames that only one of the two has count too."""
    other: Rules = "aligned" if rules == "ctrgcn" else "ctrgcn"
    numbers = ([body.numbers for body in read_bodies(file, either)[0]] for either in (rules, other))
    if all(np.array_equal(mine, theirs) for mine, theirs in zip(*numbers, strict=True)):
        return 0
    try:
        theirs = _clip(file, other, solo)[0]
    except SkeletonError:  # nothing is left by the other rules; these are asked for
        theirs = joints[:0]
    shared = min(len(joints), len(theirs))
    differing = (joints[:shared] != theirs[:shared]).any(axis=(2, 3)).sum()
    extra = [longer[shared:].any(axis=(2, 3)).sum() for longer in (joints, theirs)]
    return int(differing + sum(extra))
