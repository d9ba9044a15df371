"""The kpfiles of pyskl's `k400_hrnet.pkl`, which hold the joints that its annotations lack.

An annotation without `keypoint` has `frame_inds` (N,), the frame of each of N skeletons, and
`raw_file`, the path of a kpfile: a pickled dictionary of `frame_dir` -> {`keypoint`: (N, V, 3)},
x and y in pixels and a score. MMAction2's `k400_2d.pkl` has one kpfile for each clip, named
`frame_dir` and holding {`keypoint`: (N, V, 3)} itself. Source: pyskl's `tools/data/README.md` and
its `DecompressPose` (ACM MM 2022); MMAction2's `PoseDataset`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from c2vl.core.errors import UserError
from c2vl.datasets.safe_pickle import load_pickle

FOLDER = "kpfiles"
PICKLES = (".pkl", ".pickle")
MOST_PERSONS = 10  # of a frame; pyskl's `max_person`


def table_of_contents(folder: Path) -> Path | None:
    """The one pickle in a folder that also holds `kpfiles`; None if it is no such folder.

    Raises:
        UserError: the folder cannot be listed.
    """
    try:
        if not (folder / FOLDER).is_dir():
            return None
        pickles = [path for path in folder.iterdir() if path.suffix.lower() in PICKLES]
        return pickles[0] if len(pickles) == 1 and pickles[0].is_file() else None
    except OSError as error:
        raise UserError(
            f"{folder} cannot be read ({error.strerror or error}); change its permissions."
        ) from None


class KeypointFiles:
    """The kpfiles beside an annotation file; the last one that was read stays in memory.

    Args:
        folder: of the annotation file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._name, self._content, self._problem = "", None, ""

    def name(self, annotation: Mapping[str, Any]) -> str:
        """The file that holds a clip, as a path from the annotation file; "" if there is none.

        Only the last part of `raw_file` counts, as in pyskl's own scripts.
        """
        if not _elsewhere(annotation):
            return ""
        raw, clip = annotation.get("raw_file"), annotation.get("frame_dir")
        names = [re.split(r"[/\\]", raw)[-1]] if isinstance(raw, str) else []
        names += [f"{clip}.pkl"] if isinstance(clip, str) and not re.search(r"[/\\]", clip) else []
        names = [name for name in names if _is_name(name)]
        there = (name for name in names if (self._folder / name).is_file())
        found = next(there, names[0] if names else "")
        return found and f"{FOLDER}/{found}"

    def filled(self, annotation: Mapping[str, Any], persons: int) -> tuple[Mapping[str, Any], str]:
        """(annotation with `keypoint` (M, T, V, 2) and `keypoint_score` (M, T, V), problem).

        As pyskl's `DecompressPose` makes them: frames without people are dropped, and a frame's
        people stand in the file's order, or by their scores where some frame of the clip has more
        than ten. So a place m is a rank in its frame, and not always one person. Of them the first
        `persons` are kept, as pyskl's `FormatGCNInput` does. An annotation that has its joints is
        returned as it is.
        """
        if not _elsewhere(annotation):
            return annotation, ""
        boxes, problem = self._boxes(annotation)
        if boxes is None:
            return annotation, problem
        frames = annotation.get("frame_inds")
        if not isinstance(frames, np.ndarray) or frames.dtype.kind not in "iu" or frames.ndim != 1:
            return annotation, "its `frame_inds` is not an array (N,) of frame numbers"
        if len(frames) != len(boxes) or (frames[1:] < frames[:-1]).any():
            return annotation, (
                f"its `frame_inds` does not number the frames of the {len(boxes):,} skeletons in "
                "its kpfile in order"
            )
        keypoint, score = _by_frame(boxes, frames, persons)
        return {**annotation, "keypoint": keypoint, "keypoint_score": score}, ""

    def _boxes(self, annotation: Mapping[str, Any]) -> tuple[np.ndarray | None, str]:
        """The skeletons (N, V, 3) of a clip, or what is wrong with its kpfile."""
        name = self.name(annotation)
        if not name:
            return None, "its `raw_file` names no kpfile"
        path = self._folder / name.removeprefix(f"{FOLDER}/")
        if not path.is_file():
            return None, f"its kpfile {name} is missing"
        if name != self._name:
            self._name, self._content, self._problem = name, None, ""
            try:
                self._content = load_pickle(path)
            except UserError as error:
                self._problem = str(error).rstrip(".")
        if self._problem:
            return None, f"its kpfile cannot be used: {self._problem}"
        clip = self._content
        if isinstance(clip, dict) and "keypoint" not in clip:
            clip = clip.get(annotation["frame_dir"])
        boxes = clip.get("keypoint") if isinstance(clip, dict) else None
        if not isinstance(boxes, np.ndarray) or boxes.dtype.kind != "f" or boxes.ndim != 3:
            return None, f"its kpfile {name} has no `keypoint` (N, V, 3) of the clip"
        if boxes.shape[2] != 3 or not len(boxes):
            return None, f"its kpfile {name} has a `keypoint` of shape {boxes.shape}"
        return boxes, ""


def _elsewhere(annotation: Mapping[str, Any]) -> bool:
    """Whether the joints of a clip are in a kpfile."""
    return "keypoint" not in annotation and bool(annotation.keys() & {"raw_file", "frame_inds"})


def _is_name(name: str) -> bool:
    """Whether a pickle may be called so, in one folder and in messages."""
    return name.lower().endswith(PICKLES) and name.isprintable() and len(name.encode()) < 256


def _by_frame(boxes: np.ndarray, frames: np.ndarray, persons: int) -> tuple[np.ndarray, np.ndarray]:
    """Skeletons (N, V, 3) of rising frames (N,) to (M, T, V, 2) and their scores (M, T, V)."""
    _, first, at, count = np.unique(
        frames, return_index=True, return_inverse=True, return_counts=True
    )
    if count.max() > MOST_PERSONS:
        # Summed and rounded as pyskl does, so that ties are the same.
        score = boxes[..., 2].astype(np.float16).sum(axis=-1)
        boxes = boxes[np.lexsort((-score, at))]
    rank = np.arange(len(boxes)) - first[at]
    kept = rank < min(persons, MOST_PERSONS)
    made = np.zeros((rank[kept].max() + 1, len(first), *boxes.shape[1:]), boxes.dtype)
    made[rank[kept], at[kept]] = boxes[kept]
    return made[..., :2], made[..., 2]
