"""Videos and crops of noise that `bench/engines.py` and `bench/gpu.py` give to the engines."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from c2vl.core import machine, tables
from c2vl.prompts.jpeg import to_jpeg

FRAMES, LENGTH, SHARD = 16, 90, "S001C001"  # K, frames of a video


def write_clips(root: Path, clips: int, size: tuple[int, int]) -> None:
    """Videos, index and skeleton table of `clips` samples."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 40, (size[1], size[0], 3), dtype=np.uint8)
    skeletons = []
    for number in range(clips):
        colour = np.full((LENGTH, 2, 25, 2), np.nan, np.float32)
        for frame in range(LENGTH):
            left = _left(number, frame)
            colour[frame, 0] = rng.uniform((left + 30, 200), (left + 270, 900), (25, 2))
        sample = _sample(number)
        skeletons.append({"sample": sample, "bodies": 1, "file_frames": LENGTH, "colour": colour})
        skeletons[-1]["tracked"] = np.where(np.isfinite(colour[..., 0]), 2, 0).astype(np.uint8)
    with ThreadPoolExecutor(machine.workers()) as pool:
        index = list(pool.map(lambda number: _write_video(root, number, noise), range(clips)))
    ok = {"status": "ok", "reason": ""}
    tables.write(
        root / "index.parquet",
        tables.table_of([{**row, **ok} for row in index], tables.schemas.index([])),
    )
    skeleton = tables.table_of([{**row, **ok} for row in skeletons], tables.schemas.SKELETON)
    tables.write(root / "skeleton" / f"{SHARD}.parquet", skeleton)


def _sample(number: int) -> str:
    return f"{SHARD}P{number % 40 + 1:03d}R{number // 40 + 1:03d}A001"


def _left(number: int, frame: int) -> int:
    """Left side of the person in a frame that is 1920 wide."""
    return 500 + 8 * frame + number % 50


def _write_video(root: Path, number: int, noise: np.ndarray) -> dict[str, Any]:
    """Write the video of a sample; return its row of the index."""
    name, (height, width) = _sample(number), noise.shape[:2]
    path, scale = root / f"{name}_rgb.avi", width / 1920
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"XVID"), 30, (width, height))
    top, bottom = int(150 * scale), int(950 * scale)
    for frame in range(LENGTH):
        left = _left(number, frame)
        picture = np.roll(noise, frame, axis=0)
        picture[top:bottom, int(left * scale) : int((left + 300) * scale)] += 150
        writer.write(picture)
    writer.release()
    digest = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    row = {"sample": name, "dataset": "bench", "video_file": path.name, "video_hash": digest}
    return {**row, "video_frames": LENGTH}


def write_crops(folder: Path, crops: int, scale: float) -> None:
    """A crop table of noise, in crops of 400 to 900 by 200 to 500 pixels times `scale`."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (900, 500, 3), dtype=np.uint8)
    sizes = (rng.uniform((400, 200), (900, 500), (crops, 2)) * scale).astype(int)

    def row(number: int) -> dict[str, Any]:
        height, width = sizes[number]
        crop = np.roll(noise, number, axis=0)[:height, :width]  # no two are equal
        where = {"sample": _sample(number // FRAMES), "k": number % FRAMES, "frame": number}
        return {**where, "crop": to_jpeg(crop, 92), "status": "ok", "reason": ""}

    with ThreadPoolExecutor(machine.workers()) as pool:
        rows = list(pool.map(row, range(crops)))
    tables.write(folder / f"{SHARD}.parquet", tables.table_of(rows, tables.schemas.CROP))
