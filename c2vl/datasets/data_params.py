"""Section `data` of `params.yaml`: which data set, where, which splits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from c2vl.core.layout import SkeletonLayout
from c2vl.core.layout_file import NTU, load_layout
from c2vl.core.params import ParamsModel
from c2vl.core.tables.schemas import INDEX
from c2vl.datasets.benchmarks import BENCHMARKS, OWN_BENCHMARKS
from c2vl.datasets.kpfiles import PICKLES, table_of_contents
from c2vl.datasets.pku_labels import ClipBounds

SKELETONS = {"nwucla": "kinect20", "utdmhad": "kinect20"}  # of data sets not in ntu25
TABLES = (".csv", ".tsv", ".parquet")  # suffixes
BENCHMARK_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)


class DataParams(ParamsModel):
    """Where the raw files are and what they are."""

    dataset: Literal[
        "studio", "ntu60", "ntu120", "pku1", "pku2", "nwucla", "utdmhad", "pyskl", "manifest"
    ]
    raw: Path = Field(
        description="Folder of raw files or zip archives, or one preprocessed file; "
        "see docs/datasets.md."
    )
    benchmarks: list[str] = Field(min_length=1, description="Splits to pretrain and evaluate on.")
    manifest: Path | None = Field(
        default=None,
        description="A manifest's file in `raw`; empty: manifest.csv, .tsv or .parquet there.",
    )
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
        for name in self.benchmarks:
            if self.dataset in OWN_BENCHMARKS and not is_benchmark_name(name):
                raise ValueError(
                    f"'{name[:60]}' cannot be the name of a benchmark: it is a column of the index,"
                    " or has other characters than lower-case letters, digits and _"
                )
            known = BENCHMARKS.get(self.dataset, self.benchmarks)
            if name not in known:
                raise ValueError(
                    f"{self.dataset} has the benchmarks {', '.join(known)}, not '{name}'"
                )
        if self.dataset == "manifest" and self.skeleton is None:
            raise ValueError(
                "a manifest needs `skeleton`, the skeleton of its files, such as coco17 "
                "(docs/skeletons.md)"
            )
        if self.dataset == "pyskl" and not (
            self.raw.suffix.lower() in PICKLES or table_of_contents(self.raw)
        ):
            raise ValueError(
                "with `dataset: pyskl`, `raw` is pyskl's file, such as data/raw/gym_hrnet.pkl, or "
                "the folder of k400_hrnet.pkl and its kpfiles"
            )
        if self.dataset == "manifest" and self.raw.suffix.lower() in (*TABLES, *PICKLES, ".npz"):
            raise ValueError(
                "with `dataset: manifest`, `raw` is the folder that the manifest lies in; "
                "`manifest` names the file"
            )
        if self.dataset != "manifest" and self.manifest is not None:
            raise ValueError(f"`manifest` is for `dataset: manifest`, not for {self.dataset}")
        if self.dataset == "studio" and not self.train_subjects:
            raise ValueError(
                "the studio needs `train_subjects`, the subjects of xsub's training split"
            )
        names = self.class_names
        if names is not None and (not names or "" in names or len(set(names)) < len(names)):
            raise ValueError("`class_names` must hold names, none empty and none twice")
        return self


def is_benchmark_name(name: str) -> bool:
    """Whether a manifest or a preprocessed file may call a benchmark so: it becomes a path."""
    return BENCHMARK_NAME.fullmatch(name) is not None and name not in INDEX.names
