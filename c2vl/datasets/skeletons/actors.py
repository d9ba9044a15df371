"""The result of denoising: two actors, centred, and a log of what was done."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from c2vl.datasets.skeleton_file import SkeletonError

CENTRE = 1  # joint 2 of the Kinect's numbering: the middle of the spine
ONE_POINT = "all joints of the clip lie in one point: nothing is left of it once it is centred"
SLOTS_VERSION = 1  # of `actors_of_slots` and `pku_skeleton`; raise it when a row changes
TRACKED = (
    2  # PKU-MMD does not say how a joint was found; we take a present body's joints as tracked
)


@dataclass(frozen=True)
class Log:
    """What was done to a clip.

    Attributes:
        bodies_seen: body ids in the file.
        bodies_dropped: of these, not used for either actor.
        frames_dropped: frames of the file that the joints lack.
        merged: bodies written into an actor that already had one.
        rules_differ: actor-frames of the output that `ctrgcn` and `aligned` give differently.
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
    """A denoised clip: T frames of two actors; F frames in the file.

    Attributes:
        joints: (T, 2, 25, 3) float32, metres, zero where absent; the origin is joint 2 of actor 1's
            first real frame.
        bodies: real actors, 1 or 2 (a copy in the second slot does not count).
        colour: (F, 2, 25, 2) float32, pixels of the 1920x1080 frame, by frame of the file; NaN
            where absent.
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


def present(joints: np.ndarray) -> np.ndarray:
    """(T, 2) bool: the 75 values of an actor's frame do not sum to zero; joints (T, 2, 25, 3)."""
    return np.asarray(joints.reshape(len(joints), 2, -1).sum(axis=2) != 0)


def centred(joints: np.ndarray) -> np.ndarray:
    """Centre joints (T, 2, 25, 3) as the published rules do; absent frames stay zero.

    Raises:
        SkeletonError: actor 1 is all zeros, or nothing is left: a view needs a frame whose values
            do not sum to zero.
    """
    moved = moved_to_actor(joints, present(joints))
    if not present(moved).any():
        raise SkeletonError(ONE_POINT)
    return moved


def moved_to_actor(joints: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Subtract joint 2 of actor 1's first frame with any non-zero value from (T, 2, 25, 3).

    Args:
        joints: (T, 2, 25, 3).
        real: (T, 2) bool; the frames where it is False become zero.

    Raises:
        SkeletonError: actor 1 has no such frame.
    """
    nonzero = joints[:, 0].any(axis=(1, 2))
    if not nonzero.any():
        raise SkeletonError("the joints of the first actor are all zero")
    moved: np.ndarray = joints - joints[nonzero.argmax(), 0, CENTRE]
    moved[~real] = 0
    return moved


def actors_of_slots(joints: np.ndarray) -> Actors:
    """Return the actors of a clip of PKU-MMD, whose authors have cleaned its two slots already.

    There are no body ids, so the rules of `denoise` have nothing to work on. The public scripts
    for PKU-MMD (CMD, MAMP) take the two slots as they are, and so do we. As with NTU, frames
    without anybody are left out, and the clip is centred.

    Args:
        joints: (F, 2, 25, 3) float32, metres; zero where a slot is empty.

    Raises:
        SkeletonError: nobody is in any frame.
    """
    somebody = np.asarray(joints.any(axis=(2, 3)))  # (F, 2)
    if not somebody.any():
        raise SkeletonError("no frame of the clip holds a body")
    note = ""
    if not somebody[:, 0].any():
        joints, somebody = joints[:, ::-1], somebody[:, ::-1]
        note = "the first slot is empty: actor 1 is the second"
    kept = joints[somebody.any(axis=1)]
    bodies = int(somebody.any(axis=0).sum())
    tracked = np.where(somebody[:, :, None], TRACKED, 0).repeat(joints.shape[2], axis=2)
    return Actors(
        centred(kept),
        bodies,
        np.full((*joints.shape[:3], 2), np.nan, np.float32),
        tracked.astype(np.uint8),
        Log(bodies, 0, len(joints) - len(kept), 0, 0, note),
    )
