"""Which class the stage `skeleton` is: for raw files, or for a preprocessed one."""

from __future__ import annotations

from pathlib import Path

from c2vl.datasets.preprocessed import is_preprocessed
from c2vl.datasets.skeleton_params import SkeletonParams
from c2vl.datasets.skeletons.passed import PassedStage
from c2vl.datasets.skeletons.work import SkeletonStage


def skeleton_stage(params: SkeletonParams, index: Path, raw: Path) -> SkeletonStage | PassedStage:
    """The stage for `raw`, a folder or a preprocessed file, whose samples `index` lists."""
    return (
        PassedStage(index, raw, params.max_failed)
        if is_preprocessed(raw)
        else SkeletonStage(params, index, raw)
    )
