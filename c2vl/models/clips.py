"""The clips of one split: usable samples with their skeletons, on the device where they fit."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.layout_file import layout_beside, read_layout
from c2vl.models.ragged import RaggedSkeletons


@dataclass(frozen=True)
class Clips:
    """N clips of one split, in the order of the shards.

    `labels` (N,) int64 are 0-based; pretraining is not given them.
    """

    samples: list[str]
    labels: np.ndarray
    skeletons: RaggedSkeletons

    def __len__(self) -> int:
        return len(self.samples)


def load_clips(
    data: Path,
    benchmark: str,
    split: Literal["train", "test"],
    device: torch.device | str,
    only: Collection[str] | None = None,
    skeletons: Path | None = None,
) -> Clips:
    """Load the clips of a split whose index row and skeleton row are both `ok`.

    Args:
        data: the folder with `index/` and `skeleton/`.
        benchmark: column of the index, such as `xsub`.
        split: only rows of this split are read into memory.
        device: where views of the clips are made.
        only: ids of the samples to load; None: all of the split.
        skeletons: a skeleton table with its own `skeleton.json`; None: that of `data`.

    Raises:
        UserError: a table or the benchmark is missing, or nothing is left in the split.
    """
    layout = layout_beside(skeletons / "shard") if skeletons else read_layout(data)
    folder = skeletons or data / "skeleton"
    index = tables.read(data / "index" / "index.parquet", ["sample", "label", "status", benchmark])
    chosen = index.filter(
        pc.and_(pc.equal(index["status"], "ok"), pc.equal(index[benchmark], split))
    )
    label_of = dict(zip(chosen["sample"].to_pylist(), chosen["label"].to_pylist(), strict=True))
    samples: list[str] = []
    frames: list[np.ndarray] = []
    joints: list[np.ndarray] = []
    if only is not None:
        allowed = set(only)
        label_of = {sample: label for sample, label in label_of.items() if sample in allowed}
    wanted = pa.array(list(label_of), pa.string())
    for shard, table in tables.shards(folder, ["sample", "frames", "joints", "status"]):
        table = table.filter(
            pc.and_(pc.equal(table["status"], "ok"), pc.is_in(table["sample"], wanted))
        )
        values = tables.numbers(table["joints"])
        samples += table["sample"].to_pylist()
        frames.append(table["frames"].to_numpy())
        joints.append(values)
        if len(values) != int(frames[-1].sum()) * np.prod(layout.shape):
            raise UserError(
                f"{folder / shard}: joints and frames disagree (the skeleton is {layout.name}); "
                f"run `dvc repro {folder.name} -f`."
            )
    if not samples:
        raise UserError(
            f"{data / 'index'} has no usable sample with a skeleton in split {split} "
            f"of benchmark {benchmark}."
        )
    together = torch.from_numpy(np.concatenate(joints).reshape(-1, *layout.shape))
    try:
        ragged = RaggedSkeletons(
            together, torch.from_numpy(np.concatenate(frames).astype(np.int64)), device, layout
        )
    except ValueError as error:
        raise UserError(
            f"{folder}: of split {split}, {error}; run `dvc repro {folder.name} -f`."
        ) from None
    return Clips(
        samples, np.array([label_of[sample] for sample in samples], dtype=np.int64), ragged
    )
