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


def torso(joints: np.ndarray) -> float:
    """Median distance between the ends of the spine, in the joints' unit.

    Args:
        joints: (..., 25, 3); bodies whose joints are all zero do not count.

    Returns:
        NaN if there is no body.
    """
    bodies = joints.reshape(-1, *joints.shape[-2:])
    bodies = bodies[bodies.any(axis=(1, 2))].astype(np.float64)
    if not len(bodies):
        return float("nan")
    return float(
        np.median(np.linalg.norm(bodies[:, SPINE_SHOULDER] - bodies[:, SPINE_BASE], axis=1))
    )


def human(length: float) -> bool:
    """Whether a torso of this length in metres is a person's."""
    return SHORTEST <= length <= LONGEST


class TorsoCount:
    """Counts the samples of NTU's skeleton that cannot be in metres; of others it counts none."""

    def __init__(self, layout: SkeletonLayout) -> None:
        self._known = layout.fits(shipped_layout(NTU))
        self.samples = 0
        self.example = ""

    def observe(self, table: pa.Table) -> None:
        """Note the usable rows of a skeleton table."""
        if not self._known:
            return
        for row in _rows(table):
            length = torso(row["joints"].reshape(-1, 2, 25, 3)[:, 0])
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
