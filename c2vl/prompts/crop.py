"""Stage `crop`: find the people of the action in K frames of each clip and cut them out."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from c2vl.core import machine, tables
from c2vl.core.layout_file import layout_beside
from c2vl.core.tables.schemas import CROP, OK
from c2vl.core.workers import step_back
from c2vl.datasets.image_joints import columns_of
from c2vl.prompts import joint_boxes
from c2vl.prompts.base import engine_description, engine_device, mean
from c2vl.prompts.clip_frames import frames_of_clip, require_colour_joints, why_no_frames
from c2vl.prompts.crop_params import CropParams
from c2vl.prompts.cutting import CutCrops
from c2vl.prompts.detections import decoder, detection_cache
from c2vl.prompts.engines.adapters import load_detector
from c2vl.prompts.engines.detector import PeopleDetector
from c2vl.prompts.engines.detector_params import BY_JOINTS
from c2vl.prompts.frame import Frame
from c2vl.prompts.reading import ReadFrames
from c2vl.store.keys import content_key
from c2vl.store.publish import StepCache
from c2vl.store.stage import Failure, Row, Stage, Unit

VERSION = 2  # of what here and in c2vl.datasets.video changes a row; raise it with the change
CUT_AT_ONCE = 16  # frames, where no detector has a say
FEW = 0.05  # share of frames; some are never detected in, because they do not decode
INDEX_COLUMNS = [
    "sample",
    "video_file",
    "video_hash",
    "video_frames",
    "clip_begin",
    "clip_stop",
    "video_reason",
    "status",
]
SKELETON_COLUMNS = ["sample", "bodies", "status", "reason"]


class CropStage(Stage):
    """Stage `crop`.

    Detections are kept apart from the crops cut from them: another margin, JPEG quality or fallback
    cuts again and detects nothing.

    Attributes:
        filmed: whether any sample has a video.

    Args:
        params: section `crop`.
        index: the index table.
        skeletons: folder of the skeleton table.
        raw: folder that the index's paths are relative to.
    """

    name = "crop"
    done = "cropped"

    def __init__(self, params: CropParams, index: Path, skeletons: Path, raw: Path) -> None:
        self._params, self._skeletons, self._raw = params, skeletons, raw
        self._backend = params.detector.backend
        self._layout = layout_beside(index)
        rows = tables.read(index, INDEX_COLUMNS)
        rows = rows.filter(pc.equal(rows.column("status"), OK))
        # Skeletons alone are a data set too: their prompts come from a published file.
        self.filmed = rows.column("video_file").null_count < len(rows)
        self.max_failed = params.max_failed if self.filmed else 1.0
        self.all_may_fail = not self.filmed
        self._index = tables.Grouped(rows)
        self._detector: PeopleDetector | None = None
        self._loading = Lock()
        self._at_once = CUT_AT_ONCE
        self._frames = self._undetected = 0
        self._found = self._chosen = self._crops = self._fallbacks = 0
        self._coverage = array("d")
        self._notes: Counter[str] = Counter()
        self._doubtful: dict[str, int] = {}  # frames by shard
        if self.filmed and self._backend == "skeleton":
            require_colour_joints(skeletons, self._layout)

    def description(self) -> dict[str, Any]:
        """All but K: a key holds its frame's index, so another K reuses common frames."""
        step = self._params.model_dump(
            mode="json", include={"margin", "square", "jpeg_quality", "fallback"}
        )
        if not self.filmed:  # then the detector need not even be on this machine
            return {"version": VERSION, **step}
        found: dict[str, Any] = {}
        if self._backend in BY_JOINTS:
            found = {"joint boxes": joint_boxes.VERSION}
        if self._backend != "skeleton":
            found |= engine_description("detector", self._params.detector)
        return {"version": VERSION, **step, **decoder(self._params.video_backend), **found}

    @cached_property
    def detections(self) -> StepCache:
        """Boxes and scores by frame of a video."""
        return detection_cache(self._params.detector, self._params.video_backend)

    def step_caches(self) -> list[StepCache]:
        """The detections, which the backends transformers and auto share."""
        return [self.detections] if self.filmed and self._backend != "skeleton" else []

    def schema(self, stored: pa.Schema | None) -> pa.Schema:
        """The crop table."""
        return CROP

    def shards(self) -> Iterable[str]:
        """Setup × camera."""
        return self._index

    def units(self, shard: str, fingerprint: str) -> list[Unit]:
        """K frames a sample."""
        columns = [*SKELETON_COLUMNS, *columns_of(self._layout)]
        table = tables.read(self._skeletons / f"{shard}.parquet", columns)
        skeletons = {row["sample"]: row for row in tables.rows_of(table)}
        entries = self._index.rows(shard)
        units = [
            unit
            for entry in entries
            for unit in self._of_sample(entry, skeletons.get(entry["sample"]), fingerprint)
        ]
        keyed = [at for at, unit in enumerate(units) if unit.key is not None]
        usable = [at for at in keyed if not units[at].payload.by_joints]
        self._doubtful[shard] = len(usable)
        if usable:  # without frames there may be no detector
            keys = [self._detection_key(units[at].payload) for at in usable]
            for at, lacks in zip(usable, self.detections.missing(keys).tolist(), strict=True):
                units[at] = replace(units[at], payload=replace(units[at].payload, detect=lacks))
                self._undetected += lacks
        self._frames += len(keyed)
        return units

    def _detection_key(self, frame: Frame) -> bytes:
        return self.detections.key(frame.video_hash, frame.index)

    def _of_sample(
        self, entry: dict[str, Any], skeleton: dict[str, Any] | None, fingerprint: str
    ) -> list[Unit]:
        sample, count = entry["sample"], self._params.frames_per_clip
        if failure := why_no_frames(entry, skeleton):
            return [
                Unit({"sample": sample, "k": k, "frame": None}, None, failure=failure)
                for k in range(count)
            ]
        assert skeleton is not None
        units = []
        for k, frame in enumerate(frames_of_clip(self._raw, entry, skeleton, self._layout, count)):
            if self._trusts_joints_of(frame):
                frame = replace(frame, detect=False, by_joints=True)
            parts = (
                frame.video_hash,
                frame.index,
                frame.colour.tobytes(),
                frame.tracked.tobytes(),
                frame.people,
            )
            identity = {"sample": sample, "k": k, "frame": frame.index}
            units.append(Unit(identity, content_key(fingerprint, *parts), frame))
        return units

    def _trusts_joints_of(self, frame: Frame) -> bool:
        """Whether the joints of a frame say where to crop, and no detector."""
        if self._backend == "auto":
            return not joint_boxes.doubtful(frame)
        return self._backend == "skeleton"

    def use(self, detector: PeopleDetector) -> None:
        """Use a detector that is loaded already."""
        self._detector = detector

    def load(self) -> None:
        """Load the detector, unless hardly a frame may need it; it is then loaded when one does."""
        if self._undetected > FEW * self._frames:
            self._loaded()

    def _loaded(self) -> PeopleDetector:
        with self._loading:  # a thread that prepares may be the first to need it
            if self._detector is None:
                self._detector = load_detector(self._params.detector.detecting(), engine_device)
            return self._detector

    def batch_size(self) -> int:
        """Frames at once (`C2VL_BATCH_CROP`); at least K, so that a video is opened once."""
        default = self._detector.batch_size if self._detector is not None else CUT_AT_ONCE
        self._at_once = machine.batch_size("crop", default)
        return max(self._at_once, self._params.frames_per_clip)

    def preparer(self) -> ReadFrames:
        """Decode and prepare for the detector, which is loaded when it is first needed."""
        prepare = getattr(self._detector, "preparer", None)
        return ReadFrames(
            prepare or (lambda images: self._loaded().prepare(images)), self._params.video_backend
        )

    def compute(self, units: Sequence[Unit], ready: Sequence[Any]) -> list[Row | Failure]:
        """Boxes and scores of each frame: detected and kept, known already, or of the joints."""
        frames = [unit.payload for unit in units]
        new, found = detected_now(ready), dict[int, dict[str, np.ndarray]]()
        for begin in range(0, len(new), self._at_once):
            part = new[begin : begin + self._at_once]
            results = self._loaded().detect([ready[at][1] for at in part])
            rows = [{"boxes": result.boxes, "scores": result.scores} for result in results]
            # At once: a kill while more is detected must not cost what the detector did.
            self.detections.add([self._detection_key(frames[at]) for at in part], rows)
            found |= zip(part, rows, strict=True)
        by_joints = [at for at, frame in enumerate(frames) if frame.by_joints]
        found |= {at: joint_boxes.boxes_in(ready[at][0], frames[at]) for at in by_joints}
        known = [at for at in range(len(units)) if at not in found]
        keys = [self._detection_key(frames[at]) for at in known]
        if known:  # with the backend skeleton there is no detector, and no detection
            found |= zip(known, self.detections.get(keys), strict=True)
        return [found[at] for at in range(len(units))]

    def complete(
        self, units: Sequence[Unit], ready: Sequence[Any], computed: Sequence[Any]
    ) -> list[Row | Failure]:
        """Choose the people of the action, cut them out, encode."""
        named = {"margin", "square", "jpeg_quality", "fallback"}
        cut = CutCrops(**self._params.model_dump(include=named))
        frames = [unit.payload for unit in units]
        if machine.workers_each() == 1:  # this is a thread of its own already
            return cut(ready, frames, computed)
        count = min(machine.workers_each(), self.most_threads)
        with ThreadPoolExecutor(count, "cut", step_back) as threads:
            return cut(ready, frames, computed, threads)

    def observe(self, table: pa.Table) -> None:
        """Count people, coverage and fallbacks."""
        columns = ["boxes", "chosen", "coverage", "status", "reason"]
        for row in tables.rows_of(table.select(columns)):
            if row["status"] != OK:
                continue
            self._crops += 1
            self._found += len(row["boxes"]) // 4
            self._chosen += len(row["chosen"])
            self._fallbacks += not len(row["chosen"])
            if not np.isnan(row["coverage"]):
                self._coverage.append(row["coverage"])
            if row["reason"]:
                self._notes[row["reason"]] += 1

    def metrics(self) -> dict[str, Any]:
        """Means over the usable rows."""
        return {
            "people_found_per_frame": mean(self._found, self._crops),
            "people_per_crop": mean(self._chosen, self._crops),
            "fallback_crops": self._fallbacks,
            "mean_coverage": mean(
                float(np.sum(np.frombuffer(self._coverage))), len(self._coverage)
            ),
            "not_as_asked": dict(self._notes),
            **(
                {"doubtful_frames": sum(self._doubtful.values())} if self._backend == "auto" else {}
            ),
        }


def detected_now(ready: Sequence[Any]) -> list[int]:
    """Positions of prepared frames that the detector has to look at: those with inputs for it."""
    return [position for position, (_, inputs) in enumerate(ready) if inputs is not None]
