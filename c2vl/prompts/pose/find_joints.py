"""Find the joints of the people that were followed over clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from c2vl.core.workers import in_threads
from c2vl.datasets.video.backends import DEFAULT, Backend
from c2vl.prompts.engines.pose import JOINTS, PersonCrop, PoseEngine
from c2vl.prompts.frame import read_images
from c2vl.prompts.pose.clip import Clip
from c2vl.store.stage import Failure


@dataclass(frozen=True)
class Poses:
    """The people of a clip: P of them in F frames.

    Attributes:
        frames: (F,) numbers of the frames.
        joints: (F, P, 17, 3) float32: x and y in pixels, and the score; zero where a person is
            not there.
        boxes: (F, P, 4) xyxy in pixels; NaN where a person is not there.
        size: width and height of the frames in pixels.
        seen: people who were followed, of whom the liveliest are here.
        undecoded: of `frames`, those that did not decode: nobody is in them.
    """

    frames: np.ndarray
    joints: np.ndarray
    boxes: np.ndarray
    size: tuple[int, int]
    seen: int
    undecoded: int = 0


@dataclass(frozen=True)
class _Part:
    """Some frames of a clip, by their positions in it, after decoding."""

    size: tuple[int, int] | None
    crops: list[PersonCrop]
    where: list[tuple[int, int]]  # position and person of each crop
    fault: Failure | None
    undecoded: int


Task = tuple[int, Clip, np.ndarray, range]


class FindJoints:
    """Finds the joints of people whose boxes are known.

    Args:
        engine: the pose engine.
        threads: that decode and cut people out ahead of it.
        backend: the library that decodes.
    """

    def __init__(self, engine: PoseEngine, threads: int = 1, backend: Backend = DEFAULT) -> None:
        self._engine, self._threads, self._backend = engine, threads, backend
        self._at_once = engine.batch_size()

    def __call__(self, clips: Sequence[Clip], boxes: Sequence[np.ndarray]) -> list[Poses | Failure]:
        """The people of each clip, or why no frame decodes.

        Args:
            clips: the clips.
            boxes: of each clip (F, P, 4) xyxy in pixels; NaN where a person is not there.
        """
        joints = [np.zeros((*one.shape[:2], JOINTS, 3), np.float32) for one in boxes]
        parts: list[list[_Part]] = [[] for _ in clips]
        each = in_threads(self._cut, _tasks(clips, boxes), self._threads, 2 * self._threads)
        for (at, *_), part in each:
            for begin in range(0, len(part.crops), self._at_once):
                some = slice(begin, begin + self._at_once)
                found = self._engine.find(part.crops[some])
                for (position, person), one in zip(part.where[some], found, strict=True):
                    joints[at][position, person] = one
            part.crops.clear()
            parts[at].append(part)
        return [_together(*one) for one in zip(clips, boxes, joints, parts, strict=True)]

    def _cut(self, task: Task) -> _Part:
        _, clip, boxes, positions = task
        wanted = [at for at in positions if not np.isnan(boxes[at]).all()]
        numbers = [clip.frames[at] for at in wanted]
        images = read_images(clip.raw, clip.video, clip.video_hash, numbers, self._backend)
        faults = [image for image in images if isinstance(image, Failure)]
        crops, where, size = [], [], None
        for at, image in zip(wanted, images, strict=True):
            if isinstance(image, Failure):
                continue
            size = image.shape[1], image.shape[0]
            for person in np.flatnonzero(~np.isnan(boxes[at, :, 0])).tolist():
                crops.append(self._engine.cut(image, boxes[at, person]))
                where.append((at, person))
        return _Part(size, crops, where, faults[0] if faults else None, len(faults))


def _tasks(clips: Sequence[Clip], boxes: Sequence[np.ndarray]) -> Iterator[Task]:
    for at, (clip, of_clip) in enumerate(zip(clips, boxes, strict=True)):
        for begin in range(0, len(clip.frames), clip.at_once):
            stop = min(begin + clip.at_once, len(clip.frames))
            yield at, clip, of_clip, range(begin, stop)


def _together(
    clip: Clip, boxes: np.ndarray, joints: np.ndarray, parts: Sequence[_Part]
) -> Poses | Failure:
    size = next((part.size for part in parts if part.size), None)
    if size is None:
        fault = next((part.fault for part in parts if part.fault), None)
        return fault or Failure("nobody", "nobody was found in the video")
    absent = np.asarray(~joints.any(axis=(2, 3)))
    return Poses(
        np.array(clip.frames),
        joints,
        np.where(absent[..., None], np.nan, boxes),
        size,
        int((~absent).any(axis=0).sum()),
        sum(part.undecoded for part in parts),
    )
