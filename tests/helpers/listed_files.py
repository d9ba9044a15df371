"""Small data sets of one file a sample, in the formats in which they are distributed."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path

import cv2
import numpy as np
from pku_text import long_joints
from scipy.io import savemat

UTD_ORDER = [3, 2, 1, 0, *range(4, 20)]  # head first; Microsoft's order has it fourth
UTD_MISSING = {"a8_s1_t4", "a23_s6_t4", "a27_s8_t4"}  # of 27 x 8 x 4, as its page says


def utd_names() -> list[str]:
    """The 861 sequences of UTD-MHAD."""
    grid = product(range(1, 28), range(1, 9), range(1, 5))
    names = [f"a{action}_s{subject}_t{take}" for action, subject, take in grid]
    return [name for name in names if name not in UTD_MISSING]


def kinect(seed: int, frames: int) -> np.ndarray:
    """(T, 20, 3): one person that moves, in the order of the Kinect v1."""
    return long_joints(seed, frames)[:, 0, :20].astype(np.float64)


def nw_ucla_clip(path: Path, joints: np.ndarray, label: int = 1) -> None:
    """A JSON as CTR-GCN distributes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"file_name": path.stem, "skeletons": joints.tolist(), "label": label}
    path.write_text(json.dumps(content))


def utd_clip(path: Path, joints: np.ndarray) -> None:
    """A `.mat` as UTD-MHAD distributes it, from joints in the order of the Kinect v1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"d_skel": joints[:, UTD_ORDER].transpose(1, 2, 0)})


def manifest(path: Path, rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> Path:
    """A CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def film(path: Path, frames: int, size: tuple[int, int] = (64, 48)) -> None:
    """A video of a square that moves."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 15, size)
    for at in range(frames):
        image = np.full((size[1], size[0], 3), 90, np.uint8)
        image[10:30, at % 40 : at % 40 + 20] = 230
        writer.write(image)
    writer.release()
