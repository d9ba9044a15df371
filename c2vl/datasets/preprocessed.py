"""Skeletons that another repository has preprocessed: one file of either of two formats.

`.npz` is CTR-GCN's (`preprocessed_ctrgcn`), `.pkl` is pyskl's (`preprocessed_pyskl`).
"""

from __future__ import annotations

from pathlib import Path

from c2vl.core.errors import UserError
from c2vl.datasets.preprocessed_ctrgcn import CtrGcnFile
from c2vl.datasets.preprocessed_pyskl import PysklFile
from c2vl.datasets.ready_clip import ReadyFile


def is_preprocessed(raw: Path) -> bool:
    """Whether `data.raw` names a preprocessed file and not a folder."""
    return raw.suffix.lower() in (".npz", ".pkl", ".pickle") and not raw.is_dir()


def open_preprocessed(raw: Path) -> ReadyFile:
    """Open a preprocessed file.

    Raises:
        UserError: it is missing, damaged, or not of its format.
    """
    if not raw.is_file():
        raise UserError(
            f"{raw} (`data.raw`) is missing; put the file there or name a folder of raw files."
        )
    if raw.suffix.lower() == ".npz":
        return CtrGcnFile(raw)
    return PysklFile(raw)
