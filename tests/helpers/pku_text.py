"""Writes PKU-MMD's files for tests: long skeletons, labels, split files and videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np


def long_joints(seed: int, frames: int, second: tuple[int, int] | None = None) -> np.ndarray:
    """Random joints (frames, 2, 25, 3) float32 with six decimals, as in the files.

    Args:
        seed: of the random values.
        frames: number of frames.
        second: first and last frame (excluded) with a second body.
    """
    random = np.random.default_rng(seed)
    joints = np.zeros((frames, 2, 25, 3))
    drift = np.cumsum(random.normal(scale=0.01, size=(frames, 2, 1, 3)), axis=0)
    joints[:] = random.uniform(-0.5, 0.5, (1, 2, 25, 3)) * (0.5, 1.7, 0.3) + (0, 0, 3) + drift
    begin, stop = second or (0, 0)
    joints[:begin, 1] = joints[stop:, 1] = 0
    return np.round(joints, 6).astype(np.float32)


def skeleton_text(joints: np.ndarray) -> bytes:
    """One line for each frame, each number after a space, as in the distributed files."""
    rows = joints.reshape(len(joints), -1)
    return "".join(
        " " + " ".join(f"{number:.6f}" for number in row) + "\n" for row in rows
    ).encode()


def label_text(labels: Sequence[tuple[int, int, int]]) -> bytes:
    """Lines `label,start,end,confidence`, as in the distributed files."""
    return "".join(f"{action},{start},{end},2\n" for action, start, end in labels).encode()


def split_text(train: Sequence[str], test: Sequence[str]) -> bytes:
    """A split file with the distributed headings, including their spelling mistake."""
    return (
        f"Training videos: \n{', '.join(train)}\nValidataion videos: \n{', '.join(test)}\n".encode()
    )


def video(path: Path, frames: int) -> None:
    """Write a small AVI with frames that differ."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"XVID"), 30, (96, 54))
    for number in range(frames):
        image = np.full((54, 96, 3), 40, np.uint8)
        image[10:44, number % 60 : number % 60 + 20] = 230
        writer.write(image)
    writer.release()
