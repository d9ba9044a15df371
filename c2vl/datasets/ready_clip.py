"""A clip of a file that another repository has preprocessed, and what such a file offers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from c2vl.core.digest import digest_of
from c2vl.core.layout import SkeletonLayout
from c2vl.datasets.skeleton_file import sensible


@dataclass(frozen=True)
class ReadyClip:
    """One clip of such a file.

    Attributes:
        sample: its id.
        label: class from 0.
        splits: benchmark -> train or test, as the file has it.
        joints: (T, M, V, 3) float32 as the file's skeleton describes them, zero where absent,
            without the zero frames that pad its end; 3D ones are not centred, 2D ones are relative
            to the image. None where there is a problem.
        size: width and height in pixels of the images that 2D joints belong to.
        problem: why the clip is of no use, in a sentence; empty when it is.
        file: the file beside the preprocessed one that holds its joints; empty: none does.
    """

    sample: str
    label: int
    splits: Mapping[str, str] = field(default_factory=dict)
    joints: np.ndarray | None = None
    problem: str = ""
    size: tuple[int, int] | None = None
    file: str = ""

    @property
    def content(self) -> str | None:
        """blake2b-128 of the joints, hex."""
        return None if self.joints is None else digest_of(self.joints.tobytes())


class ReadyFile(Protocol):
    """An open file of such clips."""

    layout: SkeletonLayout  # of its skeletons
    benchmarks: tuple[str, ...]  # that the file has splits of
    classes: int  # labels are below
    strangers: tuple[str, ...]  # clips that bear no sample's name, and are left out
    lacking: tuple[str, ...]  # clips of its splits that it does not hold
    remarks: tuple[str, ...]  # sentences on what was passed over

    def clips(self) -> Iterator[ReadyClip]:
        """All clips in the order of the file, one in memory at a time where the format allows."""

    def clip(self, sample: str) -> ReadyClip:
        """One clip again.

        Raises:
            KeyError: there is none of this name.
        """


def checked(joints: np.ndarray) -> tuple[np.ndarray | None, str]:
    """(joints as float32 without the padding at their end, problem) of (T, M, V, 3)."""
    with np.errstate(over="ignore"):
        joints = np.ascontiguousarray(joints, np.float32)
    if not sensible(joints):
        return None, "joint coordinates are NaN or infinite or absurd"
    real = np.flatnonzero(joints.any(axis=(1, 2, 3)))
    if not len(real):
        return None, "the clip holds no joints, zeros only"
    return joints[: real[-1] + 1], ""
