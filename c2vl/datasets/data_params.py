"""Section `data` of `params.yaml`: which data set, where, which splits."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from c2vl.core.layout import SkeletonLayout
from c2vl.core.layout_file import NTU, load_layout
from c2vl.core.params import ParamsModel
from c2vl.datasets.benchmarks import BENCHMARKS
from c2vl.datasets.pku_labels import ClipBounds

SKELETONS: dict[str, str] = {}  # of data sets whose skeleton is another than ntu25


class DataParams(ParamsModel):
    """Where the raw files are and what they are."""

    dataset: Literal["studio", "ntu60", "ntu120", "pku1", "pku2"]
    raw: Path = Field(
        description="Folder of raw files or zip archives, or one preprocessed file; "
        "see docs/datasets.md."
    )
    benchmarks: list[str] = Field(min_length=1, description="Splits to pretrain and evaluate on.")
    train_subjects: list[int] | None = Field(
        default=None, description="Training subjects of xsub in the studio."
    )
    class_names: list[str] | None = Field(
        default=None, description="By label, in place of the published ones and of a classes.txt."
    )
    skeleton: str | None = Field(
        default=None,
        description="Name of a shipped skeleton or a YAML file; null: the data set's own "
        "(docs/skeletons.md).",
    )
    clip_bounds: ClipBounds = Field(
        default="start:end",
        description="PKU-MMD: frames of a label, as a slice of its numbers. "
        "The default is CMD's and MAMP's.",
    )

    def layout(self) -> SkeletonLayout:
        """The skeleton that `skeleton` names, or else the data set's own.

        Raises:
            UserError: there is no such skeleton, or its file is wrong.
        """
        return load_layout(self.skeleton or SKELETONS.get(self.dataset, NTU))

    @model_validator(mode="after")
    def _fits_the_data_set(self) -> DataParams:
        known = BENCHMARKS[self.dataset]
        for name in self.benchmarks:
            if name not in known:
                raise ValueError(
                    f"{self.dataset} has the benchmarks {', '.join(known)}, not '{name}'"
                )
        if self.dataset == "studio" and not self.train_subjects:
            raise ValueError(
                "the studio needs `train_subjects`, the subjects of xsub's training split"
            )
        names = self.class_names
        if names is not None and (not names or "" in names or len(set(names)) < len(names)):
            raise ValueError("`class_names` must hold names, none empty and none twice")
        return self
