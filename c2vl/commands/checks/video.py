"""Whether `crop.video_backend` decodes videos here: a small AVI is written and read back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from c2vl.commands.checks.finding import Finding
from c2vl.core.errors import UserError


def decoders() -> Iterator[Finding]:
    """Write a small video and read it back with the decoder that params.yaml names."""
    import cv2

    from c2vl.core.params import read_params
    from c2vl.datasets.video.backends import BACKENDS, DEFAULT
    from c2vl.datasets.video.decode import decode

    backend = (read_params().get("crop") or {}).get("video_backend", DEFAULT)
    if backend not in BACKENDS:
        todo = f"set `crop.video_backend` to one of {', '.join(BACKENDS)}"
        yield Finding("FAIL", "video", f"`crop.video_backend` is {backend!r}", todo)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"XVID"), 30.0, (64, 48))
        for level in range(0, 240, 24):
            writer.write(np.full((48, 64, 3), level, np.uint8))
        writer.release()
        try:
            frames = decode(path, [0, 9], backend).frames
        except UserError as error:
            yield Finding("FAIL", "video", str(error))
            return
    seen = [round(float(np.mean(frame))) for _, frame in sorted(frames.items())]
    if len(seen) != 2 or abs(seen[0] - 0) > 8 or abs(seen[1] - 216) > 8:
        yield Finding(
            "FAIL",
            "video",
            f"frames 0 and 9 of a test video have levels {seen} instead of 0 and 216",
            "install again: `make install`",
        )
    else:
        version = f", OpenCV {cv2.__version__}" if backend == DEFAULT else f" by {backend}"
        yield Finding("ok", "video", f"an AVI was written and read back{version}")
        if backend == "decord":
            yield Finding(
                "note",
                "video",
                "decord 0.6 returns wrong frames of H.264 and of videos with B-frames",
                f"unless yours are XVID or MJPEG, set `crop.video_backend: {DEFAULT}`",
            )
