"""Stage `skeleton` on listed files (Northwestern-UCLA, UTD-MHAD, a manifest), in processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from c2vl.core import machine, tables
from c2vl.core.layout_file import layout_beside
from c2vl.core.tables.schemas import OK, skeleton
from c2vl.datasets.skeletons.listed_clip import ClipFile, clip_rows
from c2vl.datasets.skeletons.metres import TorsoCount
from c2vl.datasets.skeletons.pose_rows import PoseRow, PoseRows
from c2vl.store.keys import content_key
from c2vl.store.stage import Failure, Row, Stage, Unit

VERSION = 1  # raise it when a parser or `listed_clip` changes a row
COLUMNS = ["sample", "skeleton_file", "skeleton_hash", "video_width", "video_height", "status"]


class ListedStage(Stage):
    """Stage `skeleton` on files of any format.

    Args:
        index: the index table.
        raw: the folder that the paths in the index are relative to.
        max_failed: share of failed samples above which the stage fails.
        poses: the output of stage `pose`, for samples without a skeleton file.
    """

    name = "skeleton"
    done = "read"
    in_processes = True

    def __init__(
        self, index: Path, raw: Path, max_failed: float, poses: Path | None = None
    ) -> None:
        self.max_failed = max_failed
        self._raw, self._poses = raw, poses
        self._layout = layout_beside(index)
        rows = tables.read(index, COLUMNS)
        self._index = tables.Grouped(rows.filter(pc.equal(rows.column("status"), OK)))
        self._frames = self._two = self._dropped = 0
        self._torsos = TorsoCount(self._layout)

    def description(self) -> dict[str, Any]:
        """The skeleton that files are fitted to."""
        return {"version": VERSION, "skeleton": self._layout.to_dict()}

    def schema(self, stored: pa.Schema | None) -> pa.Schema:
        """The skeleton table."""
        return skeleton(self._layout)

    def shards(self) -> Iterable[str]:
        """By a hash of the sample's id."""
        return self._index

    def units(self, shard: str, fingerprint: str) -> list[Unit]:
        """One unit per sample."""
        units, entries = [], self._index.rows(shard)
        alone = any(entry["skeleton_file"] is None for entry in entries)
        poses = PoseRows(self._poses / f"{shard}.parquet") if alone and self._poses else None
        for entry in entries:
            sample = {"sample": entry["sample"]}
            if entry["skeleton_file"] is None:
                units.append(self._of_video(sample, poses, fingerprint))
                continue
            size = (entry["video_width"], entry["video_height"])
            known = None if self._layout.three_d or None in size else size
            file = ClipFile(self._raw, entry["skeleton_file"], entry["skeleton_hash"], known)
            key = content_key(fingerprint, file.content, *(known or ()))
            units.append(Unit(sample, key, (file, self._layout)))
        return units

    def _of_video(self, sample: dict[str, Any], poses: PoseRows | None, fingerprint: str) -> Unit:
        if poses is None:
            reason = "the sample has no skeleton file, and a transfer target needs one"
            return Unit(sample, None, failure=Failure("video_alone", reason))
        found = poses.outcome(sample["sample"])
        if found is None:
            reason = "the sample has a video and no skeleton file; run `dvc repro pose`"
            return Unit(sample, None, failure=Failure("video_alone", reason))
        if isinstance(found, Failure):
            return Unit(sample, None, failure=found)
        key = content_key(fingerprint, "pose", found)
        return Unit(sample, key, (PoseRow(poses.shard, sample["sample"]), self._layout))

    def batch_size(self) -> int:
        """Files per batch."""
        return machine.batch_size("skeleton", 128)

    def preparer(self) -> Callable[[list[Any]], Sequence[Row | Failure]]:
        """Return the function that reads a batch."""
        return clip_rows

    def observe(self, table: pa.Table) -> None:
        """Count frames and persons, and skeletons that are not in metres."""
        self._torsos.observe(table)
        for row in tables.rows_of(table.select(["frames", "bodies", "bodies_dropped", "status"])):
            if row["status"] == OK:
                self._frames += row["frames"]
                self._two += row["bodies"] == 2
                self._dropped += row["bodies_dropped"]

    def metrics(self) -> dict[str, Any]:
        """Sums over the usable rows."""
        return {
            **self._torsos.metrics(),
            "frames": self._frames,
            "samples_with_two_actors": self._two,
            "bodies_dropped": self._dropped,
        }
