"""Stage `pose`: the 2D skeletons of people in videos, as rows of the skeleton table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from c2vl.core import machine, tables
from c2vl.core.layout import SkeletonLayout
from c2vl.core.layout_file import VIDEO, shipped_layout
from c2vl.core.tables.schemas import OK, skeleton
from c2vl.prompts.base import engine_description, engine_device, mean
from c2vl.prompts.crop_params import CropParams
from c2vl.prompts.detections import decoder, detection_cache
from c2vl.prompts.engines.adapters import load_detector
from c2vl.prompts.engines.detector import PeopleDetector
from c2vl.prompts.engines.pose import PoseEngine
from c2vl.prompts.pose.clip import UNKNOWN, Clip, looks_at, sampled
from c2vl.prompts.pose.find_joints import FindJoints, Poses
from c2vl.prompts.pose.find_people import FindPeople
from c2vl.prompts.pose.pose_params import PoseParams
from c2vl.prompts.pose.pose_row import pose_row
from c2vl.prompts.pose.video_poses import VideoPoses
from c2vl.store.keys import content_key
from c2vl.store.publish import StepCache
from c2vl.store.stage import Failure, Row, Stage, Unit

VERSION = 1  # of what here and in the modules it uses changes a row; raise it with the change
CLIPS_AT_ONCE = 16
FRAMES_AT_ONCE = 16  # of the detector, where it has no say
COLUMNS = [
    "sample",
    "skeleton_hash",
    "video_file",
    "video_hash",
    "video_frames",
    "video_width",
    "video_height",
    "video_reason",
    "clip_begin",
    "clip_stop",
    "status",
]


class PoseStage(Stage):
    """Stage `pose`.

    Args:
        params: section `pose`.
        crop: section `crop`, for its detector and its decoder.
        index: the index table.
        raw: folder that the index's paths are relative to.
        compare: instead of the clips without skeleton, take the videos of those with one, if
            `params.compare`.
    """

    done = "found"
    may_be_empty = True

    def __init__(
        self, params: PoseParams, crop: CropParams, index: Path, raw: Path, compare: bool = False
    ) -> None:
        self.name = "video_skeleton" if compare else "pose"
        self.max_failed = params.max_failed
        self._params, self._crop, self._raw = params, crop, raw
        self.layout: SkeletonLayout = shipped_layout(VIDEO)
        rows = tables.read(index, COLUMNS)
        rows = rows.filter(pc.equal(rows["status"], OK))
        alone = pc.is_null(rows["skeleton_hash"])
        if compare:
            rows = rows.filter(pc.and_(pc.invert(alone), pc.is_valid(rows["video_file"])))
        else:
            rows = rows.filter(alone)
        self._index = tables.Grouped(rows if params.compare or not compare else rows[:0])
        self._detector: PeopleDetector | None = None
        self._loading = Lock()
        self._find: VideoPoses | None = None
        self._frames = self._clips = self._two = 0

    @property
    def clips(self) -> int:
        """Number of samples that it is about."""
        return sum(len(self._index.rows(shard)) for shard in self._index)

    def description(self) -> dict[str, Any]:
        """Both engines, and which frames they see."""
        if not self.clips:  # then the engines need not even be on this machine
            return {"version": VERSION}
        return {
            "version": VERSION,
            "frames": self._params.frames,
            "look_every": self._params.look_every,
            "people": engine_description("detector", self._crop.detector.finding()),
            "joints": engine_description("pose", self._params.engine),
            **decoder(self._crop.video_backend),
        }

    def step_caches(self) -> list[StepCache]:
        """The detections, which stage `crop` shares."""
        return [self._detections()] if self.clips else []

    def _detections(self) -> StepCache:
        return detection_cache(self._crop.detector.finding(), self._crop.video_backend)

    def schema(self, stored: pa.Schema | None) -> pa.Schema:
        """The skeleton table."""
        return skeleton(self.layout)

    def shards(self) -> Iterable[str]:
        """As those of the index."""
        return self._index

    def units(self, shard: str, fingerprint: str) -> list[Unit]:
        """One unit per sample."""
        return [self._unit(entry, fingerprint) for entry in self._index.rows(shard)]

    def _unit(self, entry: dict[str, Any], fingerprint: str) -> Unit:
        sample = {"sample": entry["sample"]}
        if entry["video_file"] is None:
            return Unit(sample, None, failure=Failure("no_video", "the sample has no video file"))
        begin = entry["clip_begin"] or 0
        stop = min(entry["video_frames"] or 0, entry["clip_stop"] or entry["video_frames"] or 0)
        if stop <= begin:
            reason = entry["video_reason"] or "the video ends before the clip begins"
            return Unit(sample, None, failure=Failure("unreadable", reason))
        frames = sampled(begin, stop, self._params.frames)
        size = (entry["video_width"], entry["video_height"])
        clip = Clip(
            self._raw,
            entry["video_file"],
            entry["video_hash"],
            frames,
            looks_at(len(frames), self._params.look_every),
            UNKNOWN if None in size else size,
        )
        key = content_key(fingerprint, entry["video_hash"], begin, stop)
        return Unit(sample, key, (clip, stop - begin))

    def load(self) -> None:
        """Load the pose engine; the detector when a frame needs it that `crop` has not seen."""
        engine = PoseEngine.load(self._params.engine, engine_device())
        threads, backend = machine.workers_each(), self._crop.video_backend
        people = FindPeople(self._loaded, FRAMES_AT_ONCE, threads, backend, self._detections())
        joints = FindJoints(engine, threads, backend)
        self._find = VideoPoses(people, joints, self.layout.persons)

    def _loaded(self) -> PeopleDetector:
        with self._loading:  # several threads prepare frames
            if self._detector is None:
                self._detector = load_detector(self._crop.detector.finding(), engine_device)
            return self._detector

    def batch_size(self) -> int:
        """Clips at once (`C2VL_BATCH_POSE`); a kill costs their joints, not their detections."""
        return machine.batch_size("pose", CLIPS_AT_ONCE)

    def compute(self, units: Sequence[Unit], ready: Sequence[Any]) -> list[Poses | Failure]:  # type: ignore[override]
        """Find people and joints; other threads decode meanwhile."""
        assert self._find is not None
        return self._find([clip for clip, _ in ready])

    def complete(
        self, units: Sequence[Unit], ready: Sequence[Any], computed: Sequence[Any]
    ) -> list[Row | Failure]:
        """Make rows of the skeleton table."""
        return [
            poses if isinstance(poses, Failure) else pose_row(poses, frames, self.layout.persons)
            for (_, frames), poses in zip(ready, computed, strict=True)
        ]

    def observe(self, table: pa.Table) -> None:
        """Count clips, frames and people."""
        columns = table.select(["frames", "bodies", "status"])
        for row in tables.rows_of(columns):
            if row["status"] == OK:
                self._clips += 1
                self._frames += row["frames"]
                self._two += row["bodies"] == 2

    def metrics(self) -> dict[str, Any]:
        """Sums over the usable rows."""
        return {
            "frames": self._frames,
            "frames_per_clip": mean(self._frames, self._clips),
            "samples_with_two_actors": self._two,
        }
