"""Find the people in the frames of clips that the detector looks at; the store keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from c2vl.core.workers import in_threads
from c2vl.datasets.video.backends import DEFAULT, Backend
from c2vl.prompts.engines.detector import PeopleDetector
from c2vl.prompts.frame import read_images
from c2vl.prompts.pose.clip import Clip
from c2vl.store.publish import StepCache
from c2vl.store.stage import Failure

Boxes = tuple[np.ndarray, np.ndarray]  # (N, 4) xyxy in pixels, and scores (N,)
NOBODY: Boxes = (np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


class FindPeople:
    """Finds the people of clips.

    Args:
        detector: returns the loaded detector; called when it is first needed, by any thread.
        at_once: frames that the detector sees at once.
        threads: that decode and prepare ahead of it.
        backend: the library that decodes.
        cache: detections that are known, and where new ones are kept; None: nowhere.
    """

    def __init__(
        self,
        detector: Callable[[], PeopleDetector],
        at_once: int,
        threads: int = 1,
        backend: Backend = DEFAULT,
        cache: StepCache | None = None,
    ) -> None:
        self._detector, self._at_once, self._threads = detector, at_once, threads
        self._backend, self._cache = backend, cache

    def __call__(self, clips: Sequence[Clip]) -> list[list[Boxes] | Failure]:
        """Boxes and scores at each look of each clip, or why no frame can be seen.

        Nobody is in a frame that does not decode.
        """
        found = [self._known(clip) for clip in clips]
        faults: dict[int, Failure] = {}
        tasks = self._unknown(clips, found)
        each = in_threads(self._prepared, tasks, self._threads, 2 * self._threads)
        for (at, clip, frames), items in each:
            good = [
                (frame, item)
                for frame, item in zip(frames, items, strict=True)
                if not isinstance(item, Failure)
            ]
            fault = next((item for item in items if isinstance(item, Failure)), None)
            if fault is not None:
                faults.setdefault(at, fault)
            results = self._detector().detect([item for _, item in good])
            boxes = [(result.boxes, result.scores) for result in results]
            numbers = [frame for frame, _ in good]
            self._keep(clip, numbers, boxes)
            found[at] |= zip(numbers, boxes, strict=True)
        return [
            faults[at]
            if at in faults and not found[at]
            else [found[at].get(clip.frames[look], NOBODY) for look in clip.looks]
            for at, clip in enumerate(clips)
        ]

    def _known(self, clip: Clip) -> dict[int, Boxes]:
        if self._cache is None:
            return {}
        frames = [clip.frames[look] for look in clip.looks]
        keys = [self._cache.key(clip.video_hash, frame) for frame in frames]
        lacks = self._cache.missing(keys).tolist()
        known = [at for at, missing in enumerate(lacks) if not missing]
        rows = self._cache.get([keys[at] for at in known])
        return {
            frames[at]: (np.asarray(row["boxes"]).reshape(-1, 4), np.asarray(row["scores"]))
            for at, row in zip(known, rows, strict=True)
        }

    def _keep(self, clip: Clip, frames: Sequence[int], boxes: Sequence[Boxes]) -> None:
        if self._cache is not None and frames:
            rows = [{"boxes": found, "scores": scores} for found, scores in boxes]
            self._cache.add([self._cache.key(clip.video_hash, frame) for frame in frames], rows)

    def _unknown(
        self, clips: Sequence[Clip], found: Sequence[dict[int, Boxes]]
    ) -> Iterator[tuple[int, Clip, list[int]]]:
        for at, clip in enumerate(clips):
            frames = [clip.frames[look] for look in clip.looks]
            lacking = [frame for frame in frames if frame not in found[at]]
            step = min(self._at_once, clip.at_once)
            for begin in range(0, len(lacking), step):
                yield at, clip, lacking[begin : begin + step]

    def _prepared(self, task: tuple[int, Clip, list[int]]) -> list[Any]:
        _, clip, frames = task
        images = read_images(clip.raw, clip.video, clip.video_hash, frames, self._backend)
        good = [at for at, image in enumerate(images) if not isinstance(image, Failure)]
        if good:
            items = self._detector().prepare([images[at] for at in good])
            for at, item in zip(good, items, strict=True):
                images[at] = item
        return images
