"""A clip of a video: which of its frames get joints, and in which the detector looks for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from c2vl.datasets.video.middle_frames import middle_frames

PIXELS = 2**28  # bytes of decoded frames in memory for one thread
UNKNOWN = (1920, 1080)


@dataclass(frozen=True, slots=True)
class Clip:
    """What is known of a clip before its frames are decoded.

    Attributes:
        raw: folder of the raw files.
        video: the video's place in it.
        video_hash: digest of the video, as in the index.
        frames: numbers of the frames that get joints, ascending.
        looks: positions among them of the frames that the detector sees, ascending.
        size: width and height of the video in pixels; only memory depends on it.
    """

    raw: Path
    video: str
    video_hash: str
    frames: tuple[int, ...]
    looks: tuple[int, ...]
    size: tuple[int, int] = UNKNOWN

    @property
    def at_once(self) -> int:
        """Frames that may be in memory at once."""
        return max(1, PIXELS // (3 * self.size[0] * self.size[1]))


def sampled(begin: int, stop: int, most: int) -> tuple[int, ...]:
    """All frames from `begin` to before `stop`, or the middles of `most` equal parts of them.

    Examples:
        >>> sampled(0, 3, 10), sampled(100, 200, 4)
        ((0, 1, 2), (112, 137, 162, 187))
    """
    count = stop - begin
    chosen: Sequence[int] = range(count) if count <= most else middle_frames(count, most)
    return tuple(begin + frame for frame in chosen)


def looks_at(count: int, every: int) -> tuple[int, ...]:
    """Positions of the frames that the detector sees: the middle one of each `every` frames.

    Examples:
        >>> looks_at(20, 5), looks_at(2, 5)
        ((2, 7, 12, 17), (1,))
    """
    return tuple(range((every - 1) // 2, count, every)) or (count // 2,)
