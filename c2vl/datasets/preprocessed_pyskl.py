"""pyskl's annotation files, such as `ntu60_3danno.pkl`, `ntu60_hrnet.pkl` and `gym_hrnet.pkl`.

A pickled dictionary: `split` (see `pyskl_splits`) and `annotations`, a list of `frame_dir` (the
clip's name), `label`, `total_frames` and `keypoint` (M, T, V, C). 3D ones are metres in camera
space, for NTU (1 or 2, T, 25, 3) float16. 2D ones are pixels of an image of `img_shape` (height,
width), (M, T, 17, 2) float16 by HRNet, with `keypoint_score` (M, T, 17). Those of Kinetics lie in
separate files (`kpfiles`). Source: pyskl's `tools/data/README.md` and `ntu_preproc.py` (ACM MM
2022).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from c2vl.core.errors import UserError
from c2vl.core.layout import SkeletonLayout
from c2vl.core.layout_file import shipped_layout
from c2vl.datasets.formats.persons import choose_persons
from c2vl.datasets.kpfiles import FOLDER, KeypointFiles
from c2vl.datasets.pyskl_splits import pyskl_splits
from c2vl.datasets.ready_clip import ReadyClip, checked
from c2vl.datasets.safe_pickle import load_pickle
from c2vl.datasets.sample_ids import sample_id
from c2vl.datasets.skeletons.coordinates import relative_to_image

SHIPPED = {(25, 3): "ntu25", (17, 2): "coco17", (18, 2): "openpose18", (20, 3): "kinect20"}
MOST_CLASSES, MOST_PERSONS, LARGEST_SIDE = 10_000, 1_000, 1 << 20


class PysklFile:
    """Such a file; the format has to be in memory whole.

    Args:
        path: the file.
        layout: skeleton of its clips; None: the shipped one with as many joints and coordinates.

    Raises:
        UserError: the file is damaged, holds what it should not, or is not of this format.
    """

    strangers: tuple[str, ...] = ()  # any name is an id here; the data set may refuse some

    def __init__(self, path: Path, layout: SkeletonLayout | None = None) -> None:
        content = load_pickle(path)
        if not isinstance(content, dict) or not {"split", "annotations"} <= content.keys():
            raise UserError(f"{path} is no pyskl file: it lacks `split` and `annotations`.")
        if not isinstance(content["annotations"], list) or not isinstance(content["split"], dict):
            raise UserError(
                f"{path} is no pyskl file: `annotations` must be a list and `split` a dictionary."
            )
        self._annotations: dict[str, dict[str, Any]] = {}
        for at, annotation in enumerate(content["annotations"]):
            name = annotation.get("frame_dir") if isinstance(annotation, dict) else None
            if not isinstance(name, str):
                raise UserError(f"{path}: annotation {at} has no `frame_dir`.")
            if sample_id(name) in self._annotations:
                raise UserError(f"{path} has two annotations of {name[:60]!r}.")
            self._annotations[sample_id(name)] = annotation
        self._splits, remarks = pyskl_splits(path, content["split"])
        self.remarks = tuple(remarks)
        self.benchmarks = tuple(
            dict.fromkeys(name for splits in self._splits.values() for name in splits)
        )
        self.lacking = tuple(name for name in self._splits if name not in self._annotations)
        labels = [_whole(annotation.get("label")) for annotation in self._annotations.values()]
        self.classes = max((label for label in labels if label is not None), default=-1) + 1
        self._kpfiles = KeypointFiles(path.parent)
        self.layout = layout or self._guess_layout(path)

    def clips(self) -> Iterator[ReadyClip]:
        """In the order of the file, or of the kpfiles, so that each of these is read once."""
        ordered = sorted(
            self._annotations, key=lambda name: self._kpfiles.name(self._annotations[name])
        )
        return map(self.clip, ordered)

    def clip(self, sample: str) -> ReadyClip:
        """One clip."""
        annotation = self._annotations[sample]
        label, splits = _whole(annotation.get("label")), self._splits.get(sample, {})
        if label is None or not 0 <= label < MOST_CLASSES:
            return ReadyClip(sample, 0, splits, problem="its `label` is not a class number")
        filled, problem = self._kpfiles.filled(annotation, self.layout.persons)
        joints, problem = (None, problem) if problem else _joints(filled, self.layout)
        size = None if self.layout.three_d else _size(annotation)
        file = self._kpfiles.name(annotation)
        return ReadyClip(sample, label, splits, joints, problem, size, file)

    def _guess_layout(self, path: Path) -> SkeletonLayout:
        """The shipped skeleton that the first clip with joints has."""
        problem = ""
        for annotation in self._annotations.values():
            filled, why = self._kpfiles.filled(annotation, persons=1)
            problem = problem or why
            keypoint = filled.get("keypoint")
            if isinstance(keypoint, np.ndarray) and keypoint.ndim == 4:
                if (name := SHIPPED.get(keypoint.shape[2:])) is not None:
                    return shipped_layout(name)
                raise UserError(
                    f"{path} has {keypoint.shape[2]} joints of {keypoint.shape[3]} coordinates; "
                    "name their skeleton in `data.skeleton`."
                )
        if problem:
            raise UserError(
                f"{path} is a table of contents whose joints lie in separate files, and no clip "
                f"has any (the first: {problem}); unpack pyskl's kpfiles into "
                f"{path.parent / FOLDER} and set `data.raw: {path.parent}`."
            )
        return shipped_layout("ntu25")


def _joints(annotation: Mapping[str, Any], layout: SkeletonLayout) -> tuple[np.ndarray | None, str]:
    keypoint = annotation.get("keypoint")
    if not isinstance(keypoint, np.ndarray) or keypoint.dtype.kind != "f" or keypoint.ndim != 4:
        return None, "its `keypoint` is not an array (M, T, V, C) of floats"
    persons, _, count, numbers = keypoint.shape
    wanted = (layout.count, 3 if layout.three_d else 2)
    if (count, numbers) != wanted or not 1 <= persons <= MOST_PERSONS:
        return None, (
            f"its `keypoint` has shape {keypoint.shape}; the skeleton {layout.name} needs "
            f"(M, T, {wanted[0]}, {wanted[1]})"
        )
    if not layout.three_d:
        return _in_image(keypoint, annotation, layout)
    return checked(_slots(keypoint, layout))


def _in_image(
    keypoint: np.ndarray, annotation: Mapping[str, Any], layout: SkeletonLayout
) -> tuple[np.ndarray | None, str]:
    """Pixels with their scores, relative to the image."""
    scores = annotation.get("keypoint_score")
    if scores is None:
        scores = keypoint.any(axis=-1)
    if not isinstance(scores, np.ndarray) or scores.shape != keypoint.shape[:-1]:
        return None, f"its `keypoint_score` does not fit its `keypoint` {keypoint.shape}"
    if (size := _size(annotation)) is None:
        return None, "its `img_shape` is not the (height, width) of an image"
    scored = np.concatenate([keypoint, scores[..., None]], axis=-1, dtype=np.float32)
    joints, problem = checked(_slots(scored, layout))
    return None if joints is None else relative_to_image(joints, *size), problem


def _size(annotation: Mapping[str, Any]) -> tuple[int, int] | None:
    """(width, height) of the images of a clip; None if it does not say them."""
    sides = annotation.get("img_shape", annotation.get("original_shape"))
    if not isinstance(sides, tuple | list) or len(sides) < 2:
        return None
    height, width = _whole(sides[0]) or 0, _whole(sides[1]) or 0
    return (width, height) if 0 < min(width, height) <= max(width, height) < LARGEST_SIDE else None


def _slots(keypoint: np.ndarray, layout: SkeletonLayout) -> np.ndarray:
    """(M, T, V, 3) to (T, slots, V, 3); of more persons the liveliest."""
    with np.errstate(over="ignore", invalid="ignore"):
        joints = keypoint.transpose(1, 0, 2, 3).astype(np.float32)
        if joints.shape[1] > layout.persons:
            return choose_persons(joints, layout.persons, scored=not layout.three_d)
    full = np.zeros((len(joints), *layout.shape), np.float32)
    full[:, : joints.shape[1]] = joints
    return full


def _whole(value: Any) -> int | None:
    return (
        int(value) if isinstance(value, int | np.integer) and not isinstance(value, bool) else None
    )
