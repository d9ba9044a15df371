"""Choose the class of the stage `skeleton`: for raw files, or for a preprocessed file."""

from __future__ import annotations

from pathlib import Path

from c2vl.datasets.preprocessed import is_preprocessed
from c2vl.datasets.skeleton_params import SkeletonParams
from c2vl.datasets.skeletons.preprocessed_stage import PreprocessedStage
from c2vl.datasets.skeletons.skeleton_stage import SkeletonStage


def choose_skeleton_stage(
    params: SkeletonParams, index: Path, raw: Path
) -> SkeletonStage | PreprocessedStage:
    """Return the stage for `raw`, a folder or a preprocessed file; `index` lists its samples."""
    return (
        PreprocessedStage(index, raw, params.max_failed)
        if is_preprocessed(raw)
        else SkeletonStage(params, index, raw)
    )
