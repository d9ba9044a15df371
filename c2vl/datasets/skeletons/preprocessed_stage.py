"""Stage `skeleton` on a preprocessed file: centres its joints, and does not denoise them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from c2vl.core import machine, tables
from c2vl.core.layout_file import NTU, layout_beside
from c2vl.core.tables.schemas import OK, skeleton
from c2vl.datasets.preprocessed import open_preprocessed
from c2vl.datasets.ready_clip import ReadyFile
from c2vl.datasets.skeletons.actors import ONE_POINT
from c2vl.datasets.skeletons.coordinates import SEEN, centred_on
from c2vl.datasets.skeletons.metres import TorsoCount
from c2vl.store.keys import content_key
from c2vl.store.stage import Failure, Row, Stage, Unit

VERSION = 2  # raise it when something here changes a row

CENTRED = "preprocessed elsewhere: joints passed through, only centred"
RELATIVE = "preprocessed elsewhere: joints passed through, relative to the image"


class PreprocessedStage(Stage):
    """Stage `skeleton` on a preprocessed file.

    Args:
        index: the index table.
        file: the preprocessed file, or the folder that stands for it: `data.raw`.
        max_failed: share of failed samples above which the stage fails.
    """

    name = "skeleton"
    done = "passed through"
    most_threads = 1  # there is one file, and little to compute

    def __init__(self, index: Path, file: Path, max_failed: float) -> None:
        self.max_failed = max_failed
        self._path = file
        columns = ["sample", "skeleton_file", "skeleton_hash", "status"]
        rows = [row for row in tables.rows_of(tables.read(index, columns)) if row["status"] == OK]
        self._hashes = {row["sample"]: row["skeleton_hash"] for row in rows}
        self._files = {row["sample"]: row["skeleton_file"] for row in rows}
        self._shards = tables.by_shard(self._hashes)
        self._frames = self._two = 0
        self._layout = layout_beside(index)
        self._torsos = TorsoCount(self._layout)

    def description(self) -> dict[str, Any]:
        """The version, and the skeleton unless it is NTU's; the joints are in the keys."""
        own = {} if self._layout.name == NTU else {"skeleton": self._layout.to_dict()}
        return {"version": VERSION, "passed through": True, **own}

    def schema(self, stored: pa.Schema | None) -> pa.Schema:
        """The skeleton table."""
        return skeleton(self._layout)

    def shards(self) -> Iterable[str]:
        """Setup and camera, from the samples' names."""
        return self._shards

    def units(self, shard: str, fingerprint: str) -> list[Unit]:
        """One unit per clip."""
        hashes = ((sample, self._hashes[sample]) for sample in self._shards[shard])
        return [
            Unit({"sample": sample}, content_key(fingerprint, digest), (sample, digest))
            for sample, digest in hashes
        ]

    @cached_property
    def _file(self) -> ReadyFile:
        return open_preprocessed(self._path, self._layout)

    def batch_size(self) -> int:
        """Clips at once; many where there are kpfiles, each of which holds several clips."""
        return machine.batch_size("skeleton", 256 if len(set(self._files.values())) < 2 else 2048)

    def preparer(self) -> Callable[[list[Any]], Sequence[Any]]:
        """Read the clips, file by file."""

        def read(payloads: list[Any]) -> Sequence[Any]:
            order = sorted(range(len(payloads)), key=lambda at: self._files[payloads[at][0]])
            made = {at: self._clip(*payloads[at]) for at in order}
            return [made[at] for at in range(len(payloads))]

        return read

    def _clip(self, sample: str, content: str) -> Row | Failure:
        try:
            clip = self._file.clip(sample)
        except KeyError:
            clip = None
        if clip is None or clip.joints is None or clip.content != content:
            return Failure("changed", "the file changed after the index was made; run `dvc repro`")
        joints = clip.joints
        if self._layout.three_d and joints[:, 0].any():  # else only another actor is there
            try:
                joints = centred_on(joints, self._layout)
            except ValueError:
                return Failure("unusable", ONE_POINT)
        if not self._layout.three_d and not (joints[..., 2] > SEEN).any():
            return Failure("unusable", f"no joint has a score above {SEEN}")
        return {
            "frames": len(joints),
            "bodies": _bodies(joints),
            "joints": joints,
            "file_frames": 0,
            "colour": np.zeros(0, np.float32),
            "tracked": np.zeros(0, np.uint8),
            "note": CENTRED if self._layout.three_d else RELATIVE,
        }

    def observe(self, table: pa.Table) -> None:
        """Count frames, and skeletons that are not in metres."""
        self._torsos.observe(table)
        for row in tables.rows_of(table.select(["frames", "bodies", "status"])):
            if row["status"] == OK:
                self._frames += row["frames"]
                self._two += row["bodies"] == 2

    def metrics(self) -> dict[str, Any]:
        """Sums over the usable rows."""
        return {
            **self._torsos.metrics(),
            "frames": self._frames,
            "samples_with_two_actors": self._two,
            "passed_through": self._path.name,
        }


def _bodies(joints: np.ndarray) -> int:
    """Real actors, up to the last slot that is taken; a copy of the first in it does not count."""
    last = int(np.flatnonzero(joints.any(axis=(0, 2, 3))).max(initial=0)) + 1
    return 1 if last == 2 and np.array_equal(joints[:, 0], joints[:, 1]) else last
