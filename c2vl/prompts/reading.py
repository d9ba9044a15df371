"""From bytes to what an engine takes: what a stage of prompts does ahead of it, in this process or sent to another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from c2vl.prompts.frame import Frame, read_frames
from c2vl.prompts.jpeg import from_jpeg
from c2vl.store.work import Failure

Prepare = Callable[
    [Sequence[np.ndarray]], Sequence[Any]
]  # images (H, W, 3) uint8 RGB to the engine's items


@dataclass(frozen=True)
class ReadFrames:
    """Frames of videos to (image, the detector's item)."""

    prepare: Prepare

    def __call__(self, frames: Sequence[Frame], lacks: Sequence[bool]) -> list[Any]:
        """Decode, and make ready for the detector where nothing was detected yet; neighbours of one video share its opening.

        Args:
            frames: to decode.
            lacks: which of them the detector has to look at; the others' item is None.
        """
        images = read_frames(frames)
        new = [
            at for at, image in enumerate(images) if lacks[at] and not isinstance(image, Failure)
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
        """Decode and make ready."""
        return list(self.prepare([from_jpeg(crop) for crop in crops]))


def portable(reader: Callable[[Prepare], Any], engine: Any) -> Any:
    """`reader` for other processes; None where the engine must prepare itself, as a server or another environment does."""
    preparer = getattr(engine, "preparer", None)
    return None if preparer is None else reader(preparer)
