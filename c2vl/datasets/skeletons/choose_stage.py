"""Choose the class of the stage `skeleton`, by what the raw files are."""

from __future__ import annotations

from pathlib import Path

from c2vl.core import tables
from c2vl.datasets.listed.listed_index import DATASETS
from c2vl.datasets.preprocessed import is_preprocessed
from c2vl.datasets.skeleton_params import SkeletonParams
from c2vl.datasets.skeletons.listed_stage import ListedStage
from c2vl.datasets.skeletons.preprocessed_stage import PreprocessedStage
from c2vl.datasets.skeletons.skeleton_stage import SkeletonStage


def choose_skeleton_stage(
    params: SkeletonParams, index: Path, raw: Path, poses: Path | None = None
) -> SkeletonStage | PreprocessedStage | ListedStage:
    """Return the stage for the raw files.

    Args:
        params: section `skeleton`.
        index: the table that lists the samples.
        raw: a folder, or a preprocessed file.
        poses: the skeletons found in videos, for samples without a skeleton file.
    """
    if is_preprocessed(raw):
        return PreprocessedStage(index, raw, params.max_failed)
    datasets = tables.read(index, ["dataset"]).column("dataset")
    if len(datasets) and datasets[0].as_py() in DATASETS:
        return ListedStage(index, raw, params.max_failed, poses)
    return SkeletonStage(params, index, raw)
