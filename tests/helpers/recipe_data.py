"""Small data sets in the formats that README and docs name.

NTU RGB+D, PKU-MMD, CTR-GCN's and pyskl's files, published answers.
"""

from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pku_text import label_text, long_joints, skeleton_text, split_text

from c2vl.studio.dataset import SKELETONS, VIDEOS, simulate
from c2vl.studio.studio_params import StudioParams

ACTIONS = ["drink water", "sit down", "shake hands"]
WORLD = {"seed": 2, "setups": 2, "subjects": 3, "repetitions": 1, "height": 144, "broken": 0}


def film(folder: Path) -> Path:
    """27 clips of the studio's world, filmed once for all recipes; the folder to copy from."""
    simulate(
        StudioParams.model_validate({**WORLD, "frames_per_second": 10, "actions": ACTIONS}),
        folder / "raw",
        folder / "truth",
    )
    (folder / "raw" / "classes.txt").unlink()  # NTU's classes have their published names
    return folder / "raw"


def ntu(filmed: Path, raw: Path, skeletons: int | None = None, videos: int | None = None) -> None:
    """NTU RGB+D as it is unpacked: subjects 1 and 2 train, setups 1 and 2, cameras 1 to 3.

    Args:
        filmed: what `film` returned.
        raw: the folder to write.
        skeletons, videos: how many of each to put there, from the first; None: all.
    """
    for folder, most in ((SKELETONS, skeletons), (VIDEOS, videos)):
        (raw / folder).mkdir(parents=True)
        for path in sorted((filmed / folder).iterdir())[:most]:
            shutil.copy(path, raw / folder)


def names(filmed: Path) -> list[str]:
    """The ids of the clips."""
    return sorted(path.stem for path in (filmed / SKELETONS).iterdir())


def pku(raw: Path, dataset: str, filmed: Path | None = None) -> list[str]:
    """PKU-MMD I or II: four long videos, a training and a test one of either benchmark.

    Args:
        raw: the folder to write.
        dataset: pku1 or pku2.
        filmed: clips to join to videos, of people that the detector finds; None: no videos.

    Returns:
        The ids of the clips.
    """
    first = dataset == "pku1"
    videos = ["0002-L", "0002-M", "0003-L", "0003-M"] if first else []
    videos = videos or ["A01N01-L", "A01N01-M", "A01N02-L", "A01N02-M"]
    labels = [(48, 2, 40), (1, 42, 80), (8, 82, 118)]
    for folder in ("skeleton", "label", "video"):
        (raw / folder).mkdir(parents=True)
    for number, name in enumerate(videos):
        joints = long_joints(number, 120, second=(82, 118))
        (raw / "skeleton" / f"{name}.txt").write_bytes(skeleton_text(joints))
        (raw / "label" / f"{name}.txt").write_bytes(label_text(labels))
        if filmed is not None:
            join(sorted((filmed / VIDEOS).iterdir())[number:], raw / "video" / f"{name}.avi", 120)
    if first:  # part II's lists are in the package
        (raw / "cross-subject.txt").write_bytes(split_text(videos[:2], videos[2:]))
        (raw / "cross-view.txt").write_bytes(split_text(videos[1::2], videos[::2]))
    clips = []
    for name in videos:
        for line, (action, _, _) in enumerate(labels, start=1):
            view = {"L": 1, "M": 2}[name[-1]]
            video_id = f"F{name[1:4]}" if first else f"A0{name[1:3]}N0{name[4:6]}"
            clips.append(f"{video_id}V{view:03d}C{action:03d}L{line:03d}")
    return clips


def join(clips: list[Path], path: Path, frames: int) -> None:
    """A video of `frames` frames from the first of `clips` on."""
    writer: cv2.VideoWriter | None = None
    for clip in clips:
        reader = cv2.VideoCapture(str(clip))
        while frames and (read := reader.read())[0]:
            size = read[1].shape[1::-1]
            writer = writer or cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"XVID"), 30, size)
            writer.write(read[1])
            frames -= 1
    assert writer is not None and not frames
    writer.release()


def ctrgcn(path: Path, classes: int = 60) -> None:
    """CTR-GCN's file: 12 training and 6 test clips of three classes, padded to 300 frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {}
    for split, count in (("train", 12), ("test", 6)):
        x = np.zeros((count, 300, 150), np.float32)
        for clip in range(count):
            frames = 30 + clip
            x[clip, :frames] = body(clip, frames).reshape(frames, 150)
        arrays |= {f"x_{split}": x, f"y_{split}": np.eye(classes)[np.arange(count) % 3]}
    np.savez(path, **arrays)


def pyskl(path: Path, clips: list[str]) -> None:
    """pyskl's file of the clips `clips`, by both benchmarks of NTU RGB+D 60."""
    path.parent.mkdir(parents=True, exist_ok=True)
    annotations = [
        {
            "frame_dir": name,
            "label": int(name[-3:]) - 1,
            "keypoint": body(number, 30).transpose(1, 0, 2, 3).astype(np.float16),
            "total_frames": 30,
        }
        for number, name in enumerate(clips)
    ]
    split = {}
    for benchmark, trains in (
        ("xsub", lambda name: name[9:12] in ("001", "002")),
        ("xview", lambda name: name[5:8] in ("002", "003")),
    ):
        split[f"{benchmark}_train"] = [name for name in clips if trains(name)]
        split[f"{benchmark}_val"] = [name for name in clips if not trains(name)]
    path.write_bytes(pickle.dumps({"split": split, "annotations": annotations}, protocol=4))


def body(seed: int, frames: int) -> np.ndarray:
    """(frames, 2, 25, 3): one person that moves, the second slot empty."""
    joints = long_joints(seed, frames)
    joints[:, 1] = 0
    return joints


def published(path: Path, clips: list[str], sentences: int = 2) -> None:
    """The authors' answers as they are distributed: a zipped JSON of sentences by clip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    answers = {
        clip: [f"He is standing and holding thing {clip[-7:]} {k}." for k in range(sentences)]
        for clip in clips
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("answers.json", json.dumps(answers))
