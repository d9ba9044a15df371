"""Turn bytes into an engine's inputs, ahead of the engine, in threads or worker processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from c2vl.datasets.video.backends import DEFAULT, Backend
from c2vl.prompts.frame import Frame, read_frames
from c2vl.prompts.jpeg import from_jpeg
from c2vl.store.stage import Failure

# Images (H, W, 3) uint8 RGB to the engine's items.
Prepare = Callable[[Sequence[np.ndarray]], Sequence[Any]]


@dataclass(frozen=True)
class ReadFrames:
    """Turns video frames into pairs (image, the detector's item).

    The item is None if the detection is known already.
    """

    prepare: Prepare
    backend: Backend = DEFAULT

    def __call__(self, frames: Sequence[Frame]) -> list[Any]:
        """Decode the frames and prepare them; frames of one video open it once."""
        images = read_frames(frames, self.backend)
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
    """Turns JPEGs into the engine's items."""

    prepare: Prepare

    def __call__(self, crops: Sequence[bytes]) -> list[Any]:
        """Decode and prepare."""
        return list(self.prepare([from_jpeg(crop) for crop in crops]))


@dataclass(frozen=True)
class ReadClips:
    """Turns the JPEGs of each clip into the engine's items."""

    prepare: Callable[[Sequence[Sequence[np.ndarray]]], Sequence[Any]]

    def __call__(self, clips: Sequence[Sequence[bytes]]) -> list[Any]:
        """Decode and prepare."""
        return list(self.prepare([[from_jpeg(crop) for crop in clip] for clip in clips]))
