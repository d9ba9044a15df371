"""Which work the stage `skeleton` is: denoising raw files, or passing a preprocessed one through."""

from __future__ import annotations

from pathlib import Path

from c2vl.datasets.preprocessed import is_preprocessed
from c2vl.datasets.skeleton_params import SkeletonParams
from c2vl.datasets.skeletons.passed import PassedWork
from c2vl.datasets.skeletons.work import SkeletonWork


def skeleton_work(params: SkeletonParams, index: Path, raw: Path) -> SkeletonWork | PassedWork:
    """The work on `raw`, a folder or one preprocessed file, whose samples the table `index` lists."""
    return (
        PassedWork(index, raw, params.max_failed)
        if is_preprocessed(raw)
        else SkeletonWork(params, index, raw)
    )
