"""Turn the detector's results into rows of the crop table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from c2vl.prompts.frame import Frame
from c2vl.prompts.jpeg import to_jpeg
from c2vl.prompts.window import Fallback, find_window
from c2vl.store.stage import Failure, Row


@dataclass(frozen=True)
class CutCrops:
    """Chooses the people of the action, cuts and encodes their crop; attributes as `CropParams`."""

    margin: float
    square: bool
    jpeg_quality: int
    fallback: Fallback

    def __call__(
        self,
        ready: Sequence[tuple[np.ndarray, Any]],
        frames: Sequence[Frame],
        found: Sequence[Mapping[str, np.ndarray]],
        threads: Executor | None = None,
    ) -> list[Row | Failure]:
        """Return a row or a failure for each frame.

        Args:
            ready: images (H, W, 3) uint8 RGB, each in a pair with the detector's item (not used).
            frames: what is known about them.
            found: for each, `boxes` (4 N,) or (N, 4) float32 xyxy in pixels and `scores` (N,).
            threads: run in these; None: run in this thread.
        """
        each = map if threads is None else threads.map
        return list(each(self._row, frames, [image for image, _ in ready], found))

    def _row(
        self, frame: Frame, image: np.ndarray, found: Mapping[str, np.ndarray]
    ) -> Row | Failure:
        (height, width), boxes, scores = (
            image.shape[:2],
            found["boxes"].reshape(-1, 4),
            found["scores"],
        )
        window = find_window(
            boxes,
            scores,
            frame.colour,
            frame.tracked,
            frame.colour_size,
            frame.people,
            (width, height),
            self.margin,
            self.fallback,
            self.square,
            frame.by_joints,
        )
        if window.corners is None:
            return Failure("nobody", window.reason)
        x0, y0, x1, y1 = window.corners
        return {
            "crop": to_jpeg(image[y0:y1, x0:x1], self.jpeg_quality),
            **dict(zip(("x0", "y0", "x1", "y1"), window.corners, strict=True)),
            "boxes": boxes,
            "scores": scores,
            "chosen": np.array(window.chosen, np.int8),
            "coverage": window.coverage,
            "video_width": width,
            "video_height": height,
            "reason": window.reason,
        }
