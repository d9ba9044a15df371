"""Skeletons that another repository has preprocessed: one file of either of two formats.

`.npz` is CTR-GCN's (`preprocessed_ctrgcn`), `.pkl` is pyskl's (`preprocessed_pyskl`). A folder that
holds one `.pkl` and the folder `kpfiles` stands for that file, so that DVC watches both.
"""

from __future__ import annotations

from pathlib import Path

from c2vl.core.errors import UserError
from c2vl.core.layout import SkeletonLayout
from c2vl.datasets.kpfiles import PICKLES, table_of_contents
from c2vl.datasets.preprocessed_ctrgcn import CtrGcnFile
from c2vl.datasets.preprocessed_pyskl import PysklFile
from c2vl.datasets.ready_clip import ReadyFile


def preprocessed_file(raw: Path) -> Path | None:
    """The preprocessed file that `data.raw` names or stands for; None: it has raw files."""
    if raw.is_dir():
        return table_of_contents(raw)
    return raw if raw.suffix.lower() in (".npz", *PICKLES) else None


def is_preprocessed(raw: Path) -> bool:
    """Whether `data.raw` names a preprocessed file and not a folder of raw files."""
    return preprocessed_file(raw) is not None


def open_preprocessed(raw: Path, layout: SkeletonLayout | None = None) -> ReadyFile:
    """Open a preprocessed file.

    Args:
        raw: the file, or the folder that stands for it.
        layout: the skeleton that its clips must have; None: the shipped one that fits them.

    Raises:
        UserError: it is missing, damaged, not of its format, or has another skeleton.
    """
    raw = preprocessed_file(raw) or raw
    if not raw.is_file():
        raise UserError(
            f"{raw} (`data.raw`) is missing; put the file there or name a folder of raw files."
        )
    if raw.suffix.lower() == ".npz":
        file = CtrGcnFile(raw)
        if layout is not None and layout != file.layout:
            raise UserError(
                f"{raw} has skeletons {file.layout.name}, not {layout.name}; remove "
                "`data.skeleton` from params.yaml."
            )
        return file
    return PysklFile(raw, layout)
