"""Whether videos can be decoded here: a small AVI is written and read back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from c2vl.commands.checks.finding import Finding


def decoders() -> Iterator[Finding]:
    """Write a small video and read it back with the pipeline's decoder."""
    import cv2

    from c2vl.datasets.video.decode import decode

    try:
        import decord

        yield Finding("ok", "decord", str(decord.__version__))
    except ImportError:
        yield Finding("note", "decord", "not installed; OpenCV decodes instead")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"XVID"), 30.0, (64, 48))
        for level in range(0, 240, 24):
            writer.write(np.full((48, 64, 3), level, np.uint8))
        writer.release()
        frames = decode(path, [0, 9]).frames
    seen = [round(float(np.mean(frame))) for _, frame in sorted(frames.items())]
    if len(seen) != 2 or abs(seen[0] - 0) > 8 or abs(seen[1] - 216) > 8:
        yield Finding(
            "FAIL",
            "video",
            f"frames 0 and 9 of a test video have levels {seen} instead of 0 and 216",
            "install again: `make install`",
        )
    else:
        yield Finding("ok", "video", f"an AVI was written and read back, OpenCV {cv2.__version__}")
