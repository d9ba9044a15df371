"""The people that the detector found in frames: kept in the store, for `crop` and for `pose`."""

from __future__ import annotations

import pyarrow as pa

from c2vl.core.tables.schemas import CROP
from c2vl.datasets.video.backends import DEFAULT, Backend
from c2vl.prompts.base import engine_description
from c2vl.prompts.engines.detector_params import DetectorParams
from c2vl.store.publish import StepCache

DECODING = 1  # raise it when c2vl.datasets.video gives the detector other pixels
DETECTION = pa.schema([CROP.field("boxes"), CROP.field("scores")])


def detection_cache(detector: DetectorParams, backend: Backend) -> StepCache:
    """Boxes and scores by frame; the key of a frame is `cache.key(video's hash, frame)`."""
    described = engine_description("detector", detector.detecting())
    return StepCache("detect", {"decoding": DECODING, **decoder(backend), **described}, DETECTION)


def decoder(backend: Backend) -> dict[str, str]:
    """The decoder's part of a key: empty for the default, OpenCV, else the backend's name."""
    return {} if backend == DEFAULT else {"video_backend": backend}
