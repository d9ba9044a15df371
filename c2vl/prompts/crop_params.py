"""Section `crop` of `params.yaml`."""

from __future__ import annotations

from pydantic import Field

from c2vl.core.params import ParamsModel
from c2vl.datasets.video.backends import DEFAULT, Backend
from c2vl.prompts.engines.detector_params import DetectorParams
from c2vl.prompts.window import Fallback


class CropParams(ParamsModel):
    """Section `crop`.

    Attributes:
        frames_per_clip: K, the middle frames of K equal segments.
        margin: added on each side of the box, as a share of its size.
        square: widen the window to a square, as far as the image goes.
        jpeg_quality: of the stored crops, 1 to 100.
        fallback: crop of a frame in which nobody of the action was found: `skeleton` (the box of
            the colour joints, where there are any), `frame` (all of it), or `drop` (no crop; the
            row fails). With `skeleton`, the joints of one missed actor of two are added, too.
        max_failed: share of failed rows above which the stage fails.
        video_backend: the library that decodes: `opencv`, `torchcodec` or `decord` (docs/engines.md
            says which to trust). It is part of the keys, because frames and pixels may differ.
        detector: the engine.
    """

    frames_per_clip: int = Field(ge=1, le=127)
    margin: float = Field(ge=0, le=1)
    square: bool = False
    jpeg_quality: int = Field(ge=1, le=100)
    fallback: Fallback
    max_failed: float = Field(ge=0, le=1)
    video_backend: Backend = DEFAULT
    detector: DetectorParams
