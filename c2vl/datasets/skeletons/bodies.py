"""The bodies of a clip, with the frame numbers that the published preprocessing gives them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from c2vl.datasets.skeleton_file import SkeletonFile
from c2vl.datasets.skeleton_params import Rules


@dataclass(frozen=True)
class Body:
    """One body id over the whole clip, n appearances.

    Attributes:
        name: the id.
        records: (n,) indices of its appearances in the file's arrays.
        numbers: (n,) frame numbers among the frames that hold any body.
        joints: (n, 25, 3) float32, metres, not centred.
        motion: sum over x, y, z of the variance over all n x 25 points; 0 in a clip of one body.
    """

    name: str
    records: np.ndarray
    numbers: np.ndarray
    joints: np.ndarray
    motion: float = 0.0

    @property
    def start(self) -> int:
        """Number of the first frame."""
        return int(self.numbers[0])

    @property
    def end(self) -> int:
        """Number of the last frame."""
        return int(self.numbers[-1])


def read_bodies(file: SkeletonFile, rules: Rules) -> tuple[list[Body], int]:
    """Return the bodies in order of first appearance, and the number of frames that hold any body.

    Frames without a body are dropped and the rest renumbered from 0. A body's first appearance
    gets that frame's number. Each later one gets, with the rules `ctrgcn`, the body's previous
    number + 1, even after a gap (so that it lags behind its own frames from then on); with
    `aligned`, its own frame's number.
    """
    occupied, number = np.unique(file.frame, return_inverse=True)
    records: dict[str, list[int]] = {}
    for record, name in enumerate(file.body):
        records.setdefault(name, []).append(record)
    bodies = []
    for name, appearances in records.items():
        own = np.array(appearances)
        numbers = number[own] if rules == "aligned" else number[own[0]] + np.arange(len(own))
        joints = file.joints[own]
        motion = motion_of(joints) if len(records) > 1 else 0.0
        bodies.append(Body(name, own, numbers, joints, motion))
    return bodies, len(occupied)


def motion_of(joints: np.ndarray) -> float:
    """Sum over x, y, z of the variance over all points of (n, 25, 3), metres².

    In float32, as in the original.
    """
    return float(joints.reshape(-1, 3).var(axis=0).sum())
