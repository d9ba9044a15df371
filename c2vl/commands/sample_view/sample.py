"""Gather everything that exists about one sample."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.files import read_json
from c2vl.core.layout import SkeletonLayout
from c2vl.core.layout_file import NTU, read_layout, shipped_layout
from c2vl.core.tables import schemas
from c2vl.core.tables.schemas import OK
from c2vl.datasets import raw_files as places
from c2vl.datasets.image_joints import ImageJoints, image_joints, on_video, video_size
from c2vl.datasets.raw_files import PlaceError
from c2vl.datasets.video.decode import VideoError, decode

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Sample:
    """One sample and its rows in all tables.

    Attributes:
        row: its row in the index.
        class_name: name of its label; empty if unknown.
        skeleton: its row in the skeleton table; None if there is none.
        crops, captions: its rows by prompt k; empty if the stage did not run.
        clip_caption: its row about the whole clip; None if the captioner was asked about frames.
        raw: folder of the raw files.
        layout: the data set's skeleton.
    """

    row: Row
    class_name: str
    skeleton: Row | None
    crops: dict[int, Row] = field(default_factory=dict)
    captions: dict[int, Row] = field(default_factory=dict)
    raw: Path = Path()
    clip_caption: Row | None = None
    layout: SkeletonLayout = field(default_factory=lambda: shipped_layout(NTU))

    @property
    def joints(self) -> np.ndarray | None:
        """Joints (T, M, V, 3) of the skeleton table; None if there are none."""
        if self.skeleton is None or self.skeleton["status"] != OK:
            return None
        return np.asarray(self.skeleton["joints"]).reshape(-1, *self.layout.shape)

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the video; None if unknown."""
        return video_size(self.row)

    @cached_property
    def placed(self) -> ImageJoints | None:
        """Joints on the images, by frame of the skeleton file; None if there are none."""
        if self.skeleton is None or self.skeleton["status"] != OK:
            return None
        found = image_joints(self.skeleton, self.layout)
        return found if found is not None and np.isfinite(found.points).any() else None

    def joints_on(self, frame: int, width: int, height: int) -> np.ndarray | None:
        """Joints (M, V, 2) of a frame in pixels of its video; None if there are none."""
        if self.placed is None:
            return None
        points, _ = self.placed.at(frame)
        return on_video(points.astype(np.float64), self.placed.size, width, height)

    @property
    def video_range(self) -> range:
        """The video's frames that are this sample's."""
        begin = self.row.get("clip_begin") or 0
        stop = self.row.get("clip_stop") or self.row["video_frames"] or 0
        return range(begin, max(begin, min(stop, self.row["video_frames"] or stop)))

    @property
    def prompts(self) -> list[int]:
        """The k of its prompts, in order; 0 alone if there is only a sentence about the clip."""
        known = sorted(self.crops.keys() | self.captions.keys())
        return known or ([0] if self.clip_caption is not None else [])

    def has_crop(self, k: int) -> bool:
        """Whether prompt k has a picture."""
        return k in self.crops and self.crops[k]["crop"] is not None

    def said(self, k: int, of_clip: bool = False) -> str:
        """What the captioner said about prompt k, or why there is nothing.

        Args:
            k: a prompt.
            of_clip: the answer about the clip, if there is one, stands here.
        """
        if of_clip and self.clip_caption is not None:
            return f"clip: {_answer(self.clip_caption)}"
        before = "" if self.has_crop(k) else f"prompt {k}: "
        if k in self.captions:
            return before + _answer(self.captions[k])
        if k in self.crops and self.crops[k]["status"] != OK:
            return f"{before}no crop: {self.crops[k]['reason']}"
        return "" if self.clip_caption is not None else f"{before}not captioned yet"

    def frames(self, indices: Sequence[int]) -> dict[int, np.ndarray]:
        """Frames of the video, (H, W, 3) uint8 RGB; frames that cannot be decoded are left out."""
        if not self.row["video_file"] or not indices:
            return {}
        try:
            with places.as_file(self.raw, self.row["video_file"]) as path:
                return decode(path, sorted(set(indices))).frames
        except (VideoError, PlaceError, OSError):
            return {}


def load_sample(name: str, data: Path, raw: Path) -> Sample:
    """Read the rows of a sample from the tables below `data`.

    Raises:
        UserError: there is no index, or no such sample in it.
    """
    index = data / "index" / "index.parquet"
    row = next((row for row in tables.rows_of(tables.read(index)) if row["sample"] == name), None)
    if row is None:
        raise UserError(f"There is no sample {name[:60]!r} in {index}; {_close(name, index)}")
    classes = data / "index" / "classes.json"
    names = read_json(classes) if classes.exists() else []
    label = row["label"]
    class_name = str(names[label]) if label is not None and label < len(names) else ""
    skeleton = next(iter(_rows(data / "skeleton", name)), None)
    crops, captions = (
        {found["k"]: found for found in _rows(data / out, name)} for out in ("crop", "caption")
    )
    of_clip = captions.pop(None, None)
    return Sample(row, class_name, skeleton, crops, captions, raw, of_clip, read_layout(data))


def _answer(caption: Row) -> str:
    return caption["answer"] or f"no answer: {caption['reason']}"


def splits(row: Row) -> dict[str, str]:
    """Benchmark -> train or test, from a row of the index."""
    return {name: value for name, value in row.items() if name not in schemas.INDEX.names and value}


def _rows(folder: Path, name: str) -> list[Row]:
    try:
        shard = folder / f"{tables.shard_of(name)}.parquet"
    except ValueError:
        return []
    return (
        [*tables.rows_of(pq.read_table(shard, filters=[("sample", "=", name)]))]
        if shard.is_file()
        else []
    )


def _close(name: str, index: Path) -> str:
    samples = tables.read(index, ["sample"])["sample"].to_pylist()
    lower = {sample.lower(): sample for sample in samples[:20_000]}
    near = difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)
    close = [lower[one] for one in near] or samples[:3]
    return f"there are {len(samples):,}, such as {', '.join(close)}." if samples else "it is empty."
