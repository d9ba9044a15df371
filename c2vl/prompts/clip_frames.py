"""The frames of a clip that are cropped, with the joints that the sensor recorded there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.layout import SkeletonLayout
from c2vl.core.tables.schemas import OK
from c2vl.datasets.image_joints import columns_of, image_joints, nowhere
from c2vl.datasets.video.middle_frames import middle_frames
from c2vl.prompts.frame import Frame
from c2vl.store.stage import Failure


def why_no_frames(entry: Mapping[str, Any], skeleton: Mapping[str, Any] | None) -> Failure | None:
    """Why a clip cannot be cropped; None if it can.

    Args:
        entry: its row of the index.
        skeleton: its row of the skeleton table.
    """
    if skeleton is None or skeleton["status"] != OK:
        reason = skeleton["reason"] if skeleton else "no row"
        return Failure("no_skeleton", f"skeleton: {reason}", inherited=True)
    if entry["video_file"] is None:
        return Failure("no_video", "the sample has no video file")
    if (entry["video_frames"] or 0) < 1:
        reason = entry["video_reason"] or "the video file is not readable as a video"
        return Failure("unreadable", reason)
    if entry["video_frames"] <= (entry["clip_begin"] or 0):
        return Failure("missing_frame", "the video ends before the clip begins")
    return None


def frames_of_clip(
    raw: Path,
    entry: Mapping[str, Any],
    skeleton: Mapping[str, Any],
    layout: SkeletonLayout,
    count: int,
) -> list[Frame]:
    """The middle frames of `count` equal segments of a clip.

    Args:
        raw: folder of the raw files.
        entry, skeleton: as `why_no_frames`, of a clip that can be cropped.
        layout: the data set's skeleton.
        count: K.
    """
    joints = image_joints(skeleton, layout) or nowhere(layout)
    begin = entry["clip_begin"] or 0
    stop = min(entry["video_frames"], entry["clip_stop"] or entry["video_frames"])
    frames = []
    for offset in middle_frames(stop - begin, count):
        points, tracked = joints.at(offset)
        frames.append(
            Frame(
                raw,
                entry["video_file"],
                entry["video_hash"],
                begin + offset,
                points,
                tracked,
                joints.size,
                skeleton["bodies"],
            )
        )
    return frames


def require_colour_joints(skeletons: Path, layout: SkeletonLayout) -> None:
    """Check that the joints of a usable skeleton are known in its video; the first ends the search.

    Args:
        skeletons: folder of the skeleton table.
        layout: the data set's skeleton.

    Raises:
        UserError: none has, or there are no skeletons yet.
    """
    for _, table in tables.shards(skeletons, [*columns_of(layout), "status"]):
        for row in tables.rows_of(table.filter(pc.equal(table["status"], OK))):
            joints = image_joints(row, layout)
            if joints is not None and np.isfinite(joints.points).any():
                return
    raise UserError(
        "`crop.detector.backend` is skeleton, but no skeleton of this data set has colour joints; "
        "use the backend transformers."
    )
