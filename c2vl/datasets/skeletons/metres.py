"""Whether skeletons are in metres, as all rules, views and trained encoders take them to be."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from c2vl.core import tables
from c2vl.core.layout import SkeletonLayout
from c2vl.core.layout_file import NTU, shipped_layout
from c2vl.core.tables.schemas import OK

log = logging.getLogger(__name__)
SPINE_BASE, SPINE_SHOULDER = 0, 20  # joints 1 and 21 of the Kinect's numbering
SHORTEST, LONGEST = 0.15, 1.0  # metres; of adults about 0.5
OFF = f"not in metres (a torso is not {SHORTEST} to {LONGEST:g} m long)"


def torso(joints: np.ndarray, layout: SkeletonLayout | None = None) -> float:
    """Median length of the torso, in the joints' unit: between the ends of the spine.

    In other skeletons than NTU's it is the distance from the neck to the `centre`.

    Args:
        joints: (..., V, 3); bodies whose joints are all zero do not count.
        layout: the skeleton; None: NTU's.

    Returns:
        NaN if there is no body, or the skeleton has no such joints.
    """
    low, high = _ends(layout or shipped_layout(NTU))
    if not low or not high:
        return float("nan")
    bodies = joints.reshape(-1, *joints.shape[-2:])
    bodies = bodies[bodies.any(axis=(1, 2))].astype(np.float64)
    if not len(bodies):
        return float("nan")
    spine = bodies[:, high].mean(axis=1) - bodies[:, low].mean(axis=1)
    return float(np.median(np.linalg.norm(spine, axis=1)))


def _ends(layout: SkeletonLayout) -> tuple[list[int], list[int]]:
    """Joints at both ends of the torso."""
    if layout.name == NTU:
        return [SPINE_BASE], [SPINE_SHOULDER]
    return list(layout.centre), [] if layout.head is None else [layout.head[1]]


def human(length: float) -> bool:
    """Whether a torso of this length in metres is a person's."""
    return SHORTEST <= length <= LONGEST


class TorsoCount:
    """Counts the samples whose 3D skeletons cannot be in metres."""

    def __init__(self, layout: SkeletonLayout) -> None:
        self._layout = layout
        self.samples = 0
        self.example = ""

    def observe(self, table: pa.Table) -> None:
        """Note the usable rows of a skeleton table."""
        if not self._layout.three_d:
            return  # pixels
        for row in _rows(table):
            joints = row["joints"].reshape(-1, *self._layout.shape)[:, 0]
            length = torso(joints, self._layout)
            if not human(length) and not np.isnan(length):
                self.samples += 1
                self.example = self.example or f"{row['sample']} ({length:.3g} m)"

    def metrics(self) -> dict[str, Any]:
        """`not_in_metres`: samples, and an example; logs a warning if there is any."""
        if self.samples:
            log.warning(
                "skeleton: %s samples are %s, such as %s. Convert the files to metres.",
                f"{self.samples:,}",
                OFF,
                self.example,
            )
        return {"not_in_metres": {"samples": self.samples, "example": self.example}}


def _rows(table: pa.Table) -> Iterable[dict[str, Any]]:
    rows = tables.rows_of(table.select(["sample", "joints", "status"]))
    return (row for row in rows if row["status"] == OK)
