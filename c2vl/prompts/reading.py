"""From bytes to what an engine takes: what a stage of prompts does ahead of it.

In this process or, pickled, in workers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from c2vl.prompts.frame import Frame, read_frames
from c2vl.prompts.jpeg import from_jpeg
from c2vl.store.stage import Failure

# Images (H, W, 3) uint8 RGB to the engine's items.
Prepare = Callable[[Sequence[np.ndarray]], Sequence[Any]]


@dataclass(frozen=True)
class ReadFrames:
    """Frames of videos to pairs (image, the detector's item); None for one it need not look at."""

    prepare: Prepare

    def __call__(self, frames: Sequence[Frame]) -> list[Any]:
        """Decode, and prepare for the detector; neighbours of one video share its opening."""
        images = read_frames(frames)
        new = [
            at
            for at, (frame, image) in enumerate(zip(frames, images, strict=True))
            if frame.detect and not isinstance(image, Failure)
        ]
        items = dict(zip(new, self.prepare([images[at] for at in new]), strict=True)) if new else {}
        return [
            image if isinstance(image, Failure) else (image, items.get(at))
            for at, image in enumerate(images)
        ]


@dataclass(frozen=True)
class ReadCrops:
    """JPEGs to the engine's items."""

    prepare: Prepare

    def __call__(self, crops: Sequence[bytes]) -> list[Any]:
        """Decode and prepare."""
        return list(self.prepare([from_jpeg(crop) for crop in crops]))
