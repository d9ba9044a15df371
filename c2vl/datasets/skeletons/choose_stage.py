"""Which class the stage `skeleton` is: for raw files, or for a preprocessed one."""

from __future__ import annotations

from pathlib import Path

from c2vl.datasets.preprocessed import is_preprocessed
from c2vl.datasets.skeleton_params import SkeletonParams
from c2vl.datasets.skeletons.preprocessed_stage import PreprocessedStage
from c2vl.datasets.skeletons.skeleton_stage import SkeletonStage


def choose_skeleton_stage(
    params: SkeletonParams, index: Path, raw: Path
) -> SkeletonStage | PreprocessedStage:
    """The stage for `raw`, a folder or a preprocessed file, whose samples `index` lists."""
    return (
        PreprocessedStage(index, raw, params.max_failed)
        if is_preprocessed(raw)
        else SkeletonStage(params, index, raw)
    )
