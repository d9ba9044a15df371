"""Small data sets in the formats of Northwestern-UCLA, UTD-MHAD, pyskl's 2D files and of users."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
from listed_files import kinect, nw_ucla_clip, utd_clip
from recipe_data import names, published

from c2vl.studio.dataset import VIDEOS

WIDTH, HEIGHT = 256, 144  # of the filmed videos
GYM = [f"gym {label}/{take}" for label in range(3) for take in range(8)]


def nw_ucla(root: Path, filmed: Path) -> None:
    """Skeletons as CTR-GCN has them, videos as the authors have them."""
    nw_ucla_skeletons(root)
    for name, action, subject, camera in _numbered(filmed):
        folder = root / f"data/raw/multiview_action_videos/a{action:02}"
        folder.mkdir(parents=True, exist_ok=True)
        film = f"v{camera:02}_s{subject:02}_e00.avi"
        shutil.copy(filmed / VIDEOS / f"{name}_rgb.avi", folder / film)


def nw_ucla_skeletons(root: Path) -> list[str]:
    """27 clips of three actions, subjects and cameras, one of a single frame; their names."""
    clips = []
    for seed, (action, subject, camera) in enumerate(product((1, 2, 3), repeat=3)):
        clips.append(f"a{action:02}_s{subject:02}_e00_v{camera:02}")
        joints = kinect(seed, 1 if seed == 4 else 20 + seed)
        nw_ucla_clip(root / f"data/raw/all_sqe/{clips[-1]}.json", joints)
    return clips


def utd_mhad(root: Path, filmed: Path) -> None:
    """Skeletons and videos; the cameras of the filmed clips become takes."""
    utd_mhad_skeletons(root)
    for name, action, subject, take in _numbered(filmed):
        (root / "data/raw/RGB").mkdir(parents=True, exist_ok=True)
        film = f"a{action}_s{subject}_t{take}_color.avi"
        shutil.copy(filmed / VIDEOS / f"{name}_rgb.avi", root / "data/raw/RGB" / film)


def utd_mhad_skeletons(root: Path) -> list[str]:
    """27 clips of three actions, subjects and takes; their names."""
    clips = []
    for seed, (action, subject, take) in enumerate(product((1, 2, 3), repeat=3)):
        clips.append(f"a{action}_s{subject}_t{take}")
        utd_clip(root / f"data/raw/Skeleton/{clips[-1]}_skeleton.mat", kinect(seed, 20 + seed))
    return clips


def ntu_hrnet(root: Path, filmed: Path) -> None:
    """`ntu60_hrnet.pkl`, and published answers for its clips."""
    clips = names(filmed)
    of = {"xsub": lambda name: name[9:12] in ("001", "002"), "xview": lambda name: name[7] != "1"}
    split = {
        f"{benchmark}_{side}": [name for name in clips if trains(name) is (side == "train")]
        for benchmark, trains in of.items()
        for side in ("train", "val")
    }
    _pickle(root / "data/raw/ntu60_hrnet.pkl", {name: int(name[-3:]) - 1 for name in clips}, split)
    published(root / "published/answers.zip", clips)


def gym_hrnet(root: Path, filmed: Path) -> None:
    """A 2D file with splits, names and classes of its own, and answers for its clips."""
    split = {"train": [name for name in GYM if name[-1] < "6"]}
    split["val"] = [name for name in GYM if name not in split["train"]]
    _pickle(root / "data/raw/gym_hrnet.pkl", {name: int(name[4]) for name in GYM}, split)
    published(root / "published/answers.zip", GYM)


def own_clips(root: Path, filmed: Path) -> None:
    """Class folders of arrays in metres and videos, without a manifest."""
    for seed, (name, action, subject, camera) in enumerate(_numbered(filmed)):
        folder = root / "data/raw" / ("drink water", "sit down", "shake hands")[action - 1]
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"s{subject:02}_{camera}"
        np.save(folder / f"{stem}.npy", kinect(seed, 20 + seed)[:, None])
        shutil.copy(filmed / VIDEOS / f"{name}_rgb.avi", folder / f"{stem}_rgb.avi")
    (folder / "s03_broken.npy").write_bytes(b"nothing")


def open_pose(root: Path, filmed: Path) -> None:
    """Class folders of OpenPose's files: one a frame in `eat`, one a clip in `run`."""
    for seed, (label, side, take) in enumerate(
        product(("eat", "run"), ("train", "test"), range(1, 9))
    ):
        folder = root / "data/raw" / side / label
        frames = [{"people": people} for people in _people(seed)]
        if label == "eat":
            for at, frame in enumerate(frames):
                path = folder / f"clip {take}/clip {take}_{at:012}_keypoints.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(frame))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{take}.json").write_text(json.dumps(frames))


def _numbered(filmed: Path) -> Iterator[tuple[str, int, int, int]]:
    """(name, action from 1 to 3, subject, camera) of the filmed clips."""
    actions = sorted({name[-3:] for name in names(filmed)})
    for name in names(filmed):
        yield name, actions.index(name[-3:]) + 1, int(name[9:12]), int(name[5:8])


def pixels(seed: int, frames: int, persons: int = 1) -> np.ndarray:
    """(M, T, 17, 3): people in the image whose joints swing, and their scores."""
    random = np.random.default_rng(seed)
    time = np.linspace(0, 2 * np.pi * (1 + seed % 3), frames)[None, :, None]
    place = random.uniform(40, 100, (persons, 1, 17, 2))
    swing = 10 * np.sin(time + random.uniform(0, 6, (persons, 1, 17)))
    score = random.uniform(0.2, 1, (persons, frames, 17))
    return np.concatenate([place + swing[..., None], score[..., None]], axis=-1)


def _pickle(path: Path, labels: dict[str, int], split: dict[str, list[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    annotations = []
    for seed, (name, label) in enumerate(labels.items()):
        joints = pixels(seed, 24 + seed % 5, 1 + seed % 3).astype(np.float16)
        annotations.append(
            {
                "frame_dir": name,
                "label": label,
                "img_shape": (HEIGHT, WIDTH),
                "original_shape": (HEIGHT, WIDTH),
                "total_frames": joints.shape[1],
                "keypoint": joints[..., :2],
                "keypoint_score": joints[..., 2],
            }
        )
    path.write_bytes(pickle.dumps({"split": split, "annotations": annotations}, protocol=4))


def _people(seed: int) -> Iterator[list[dict[str, list[float]]]]:
    """The people of each frame in OpenPose's way; nobody is in the third."""
    joints = pixels(seed, 20, 2).transpose(1, 0, 2, 3)
    joints = np.concatenate([joints, joints[:, :, :1]], axis=2)  # 18 joints
    for at, frame in enumerate(joints):
        order = (0, 1) if at % 2 else (1, 0)
        people = [{"pose_keypoints_2d": frame[one].reshape(-1).tolist()} for one in order]
        yield [] if at == 2 else people
