"""How a video becomes clips: one, or windows that slide over it, each as long as training clips."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from c2vl.commands.recognition.arguments import Length
from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.tables.schemas import OK
from c2vl.prompts.pose.clip import looks_at, sampled


def frames_of(length: Length, per_second: float) -> int | None:
    """A length in frames, at least 1; None for all.

    Raises:
        UserError: it is in seconds, and the video does not say how many frames one has.
    """
    if math.isinf(length.value):
        return None
    if length.seconds and not per_second:
        raise UserError("the video does not say its frames per second; give frames, not seconds")
    return max(1, round(length.value * per_second if length.seconds else length.value))


@dataclass(frozen=True)
class TrainingLengths:
    """Frames of the clips of a data set, as their videos have them.

    Attributes:
        median: half of the clips are shorter.
        longest: of all.
    """

    median: int
    longest: int


def training_lengths(data: Path) -> TrainingLengths | None:
    """How long the clips are that `data/skeleton` holds; None where there is no such table."""
    if not (data / "skeleton").is_dir():
        return None
    found: list[np.ndarray] = []
    for _, table in tables.shards(data / "skeleton", ["file_frames", "status"]):
        known = pc.and_(pc.equal(table["status"], OK), pc.is_valid(table["file_frames"]))
        found.append(table["file_frames"].filter(known).to_numpy())
    frames = np.concatenate(found) if found else np.zeros(0)
    return TrainingLengths(int(np.median(frames)), int(frames.max())) if len(frames) else None


@dataclass(frozen=True)
class Plan:
    """Which frames of a video get joints, and which of them are a clip together.

    Attributes:
        frames: numbers of the frames, ascending.
        looks: positions among `frames` of those that the detector sees.
        windows: positions among `frames` of each clip.
        spans: first frame of each clip, and the one after its last.
    """

    frames: tuple[int, ...]
    looks: tuple[int, ...]
    windows: tuple[range, ...]
    spans: tuple[tuple[int, int], ...]


def one_clip(begin: int, stop: int, most: int, look_every: int) -> Plan:
    """The frames from `begin` to before `stop` as one clip, as stage `pose` takes them.

    Args:
        begin, stop: frames of the video.
        most: `pose.frames`.
        look_every: `pose.look_every`.
    """
    frames = sampled(begin, stop, most)
    whole = range(len(frames))
    return Plan(frames, looks_at(len(frames), look_every), (whole,), ((begin, stop),))


def sliding(begin: int, stop: int, window: int, stride: int, most: int, look_every: int) -> Plan:
    """Windows of `window` frames, one every `stride` frames; the last one ends with the video.

    The frames that get joints are as dense as in a clip of `window` frames. All windows share them
    and the detector's looks, so the stride is rounded to a multiple of those.

    Args:
        begin, stop: frames of the video.
        window: frames of a clip, at most those of the video.
        stride: frames from one window to the next.
        most: `pose.frames`.
        look_every: `pose.look_every`.
    """
    width = min(window, most)
    step = window / width  # frames of the video from one that gets joints to the next
    count = max(width, int((stop - begin) / step + 1e-6))
    frames = tuple(min(begin + int((place + 0.5) * step), stop - 1) for place in range(count))
    every = max(1, round(stride / step / look_every)) * look_every
    starts = [*range(0, count - width + 1, every)]
    if starts[-1] + width < count:
        starts.append(count - width)
    windows = tuple(range(start, start + width) for start in starts)
    edges = [begin + round(place * step) for place in range(count)] + [stop]
    spans = tuple((edges[one.start], edges[one.stop]) for one in windows)
    return Plan(frames, looks_at(count, look_every), windows, spans)
