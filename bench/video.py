"""Time to decode the K middle frames of a video, by each backend that works here.

    python bench/video.py [--size 1920x1080] [--frames 100] [--wanted 16] [--repeats 5]

Prints the milliseconds of one video: in this process, and as the pipeline does it, through the
helper process. Videos are synthetic: XVID in AVI as NTU RGB+D's, and MJPEG.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from c2vl.datasets.video.backends import BACKENDS, BackendError
from c2vl.datasets.video.decode import decode
from c2vl.datasets.video.middle_frames import middle_frames


def written(path: Path, codec: str, width: int, height: int, frames: int) -> Path:
    """A video of a moving square over a fixed pattern."""
    pattern = np.random.default_rng(0).integers(60, 120, (height // 8, width // 8, 3), np.uint8)
    background = cv2.resize(pattern, (width, height))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 30, (width, height))
    for number in range(frames):
        image = background.copy()
        left = number * (width - height // 2) // frames
        image[height // 4 : 3 * height // 4, left : left + height // 2] = 200
        writer.write(image)
    writer.release()
    return path


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """Median of `repeats` calls, after one that warms up."""
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return float(np.median(times)) * 1000


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--wanted", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    wanted = middle_frames(options.frames, options.wanted)
    print(f"ms a video of {options.frames} frames {options.size}, {options.wanted} wanted\n")
    print("| codec | backend | in this process | through the helper |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for codec in ("XVID", "MJPG"):
            path = written(Path(folder, f"{codec}.avi"), codec, width, height, options.frames)
            for name, backend in BACKENDS.items():
                try:
                    alone = milliseconds(lambda b=backend, p=path: b(p, wanted), options.repeats)
                except BackendError:
                    print(f"| {codec} | {name} | not installed | |")
                    continue
                helped = milliseconds(
                    lambda n=name, p=path: decode(p, wanted, n),  # type: ignore[arg-type]
                    options.repeats,
                )
                print(f"| {codec} | {name} | {alone:.0f} | {helped:.0f} |", flush=True)


if __name__ == "__main__":
    main()
