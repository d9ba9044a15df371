"""pyskl's annotation files, such as `ntu60_3danno.pkl`.

A pickled dictionary: `split` (`xsub_train`, `xsub_val`, …: lists of names) and `annotations`, a
list of `frame_dir` (the sample's name), `label`, `total_frames` and `keypoint` (M, T, V, C), for
NTU (1 or 2, T, 25, 3) float16, metres, camera space. Source: pyskl's `tools/data/README.md` and
`ntu_preproc.py` (ACM MM 2022).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from c2vl.core.errors import UserError
from c2vl.core.tables.shard import shard_of
from c2vl.datasets.ready_clip import COORDINATES, JOINTS, PERSONS, ReadyClip, checked
from c2vl.datasets.safe_pickle import load_pickle

SIDES = {"train": "train", "val": "test"}


class PysklFile:
    """Such a file; the format has to be in memory whole.

    Raises:
        UserError: the file is damaged, holds what it should not, or is not of this format.
    """

    def __init__(self, path: Path) -> None:
        content = load_pickle(path)
        if not isinstance(content, dict) or not {"split", "annotations"} <= content.keys():
            raise UserError(f"{path} is no pyskl file: it lacks `split` and `annotations`.")
        if not isinstance(content["annotations"], list) or not isinstance(content["split"], dict):
            raise UserError(
                f"{path} is no pyskl file: `annotations` must be a list and `split` a dictionary."
            )
        self._path = path
        self._annotations = content["annotations"]
        self._place: dict[str, int] = {}
        for at, annotation in enumerate(self._annotations):
            name = annotation.get("frame_dir") if isinstance(annotation, dict) else None
            if not isinstance(name, str):
                raise UserError(f"{path}: annotation {at} has no `frame_dir`.")
            if self._place.setdefault(name, at) != at:
                raise UserError(f"{path} has two annotations of {name[:60]!r}.")
        self._splits: dict[str, dict[str, str]] = {}
        benchmarks: dict[str, None] = {}
        for key, names in content["split"].items():
            benchmark, _, side = key.rpartition("_") if isinstance(key, str) else ("", "", "")
            if benchmark in ("xsub", "xview", "xset") and side in SIDES and isinstance(names, list):
                benchmarks[benchmark] = None
                for name in filter(lambda name: isinstance(name, str), names):
                    if (
                        self._splits.setdefault(name, {}).setdefault(benchmark, SIDES[side])
                        != SIDES[side]
                    ):
                        raise UserError(
                            f"{path} has {name[:60]!r} among both training and test clips of "
                            f"{benchmark}."
                        )
        self.benchmarks = tuple(benchmarks)
        self.strangers = tuple(name for name in self._place if not _is_sample(name))
        self.lacking = tuple(name for name in self._splits if name not in self._place)
        labels = [_whole(annotation.get("label")) for annotation in self._annotations]
        self.classes = max((label for label in labels if label is not None), default=-1) + 1

    def clips(self) -> Iterator[ReadyClip]:
        """In the order of the file, without `strangers`."""
        return (self.clip(name) for name in self._place if _is_sample(name))

    def clip(self, sample: str) -> ReadyClip:
        """One clip."""
        annotation = self._annotations[self._place[sample]]
        label, splits = _whole(annotation.get("label")), self._splits.get(sample, {})
        if label is None or not 0 <= label <= 999:
            return ReadyClip(sample, 0, splits, problem="its `label` is not a class number")
        joints, problem = _joints(annotation.get("keypoint"))
        return ReadyClip(sample, label, splits, joints, problem)


def _is_sample(name: str) -> bool:
    try:
        return bool(shard_of(name))
    except ValueError:
        return False


def _joints(keypoint: Any) -> tuple[np.ndarray | None, str]:
    if not isinstance(keypoint, np.ndarray) or keypoint.dtype.kind != "f" or keypoint.ndim != 4:
        return None, "its `keypoint` is not an array (M, T, V, C) of floats"
    persons, frames, joints, coordinates = keypoint.shape
    if (joints, coordinates) != (JOINTS, COORDINATES) or not 1 <= persons <= PERSONS:
        return (
            None,
            f"its `keypoint` has shape {keypoint.shape}, not (1 or 2, T, 25, 3): "
            "these are no 3D NTU skeletons",
        )
    full = np.zeros((frames, PERSONS, JOINTS, COORDINATES), np.float32)
    with np.errstate(over="ignore"):
        full[:, :persons] = keypoint.transpose(1, 0, 2, 3)
    return checked(full)


def _whole(value: Any) -> int | None:
    return (
        int(value) if isinstance(value, int | np.integer) and not isinstance(value, bool) else None
    )
