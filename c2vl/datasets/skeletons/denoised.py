"""The outs `index` and `skeleton` read back clip by clip, for those who write them in another format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.files import read_json
from c2vl.core.tables.schemas import INDEX, OK

ROWS = 64  # read at once: some 10 MB of joints


@dataclass(frozen=True)
class Denoised:
    """What there is.

    Attributes:
        dataset: its short name.
        benchmarks: split columns of the index.
        classes: number of classes.
        rows: by sample, its index row with `frames`; samples with a usable skeleton only, sorted.
    """

    data: Path
    dataset: str
    benchmarks: tuple[str, ...]
    classes: int
    rows: dict[str, dict[str, Any]]

    def clips(self) -> Iterator[tuple[str, np.ndarray, int]]:
        """(sample, joints (T, 2, 25, 3) float32, real actors) of all rows, sorted; a few clips are in memory at a time."""
        for shard in tables.shard_paths(self.data / "skeleton"):
            with pq.ParquetFile(shard) as file:
                for batch in file.iter_batches(ROWS, columns=["sample", "joints", "bodies"]):
                    for row in tables.rows_of(pa.Table.from_batches([batch])):
                        if row["sample"] in self.rows:
                            yield row["sample"], row["joints"].reshape(-1, 2, 25, 3), row["bodies"]


def open_denoised(data: Path) -> Denoised:
    """Open the outs below `data`.

    Raises:
        UserError: one is missing, or no sample has a usable skeleton.
    """
    index = tables.read(data / "index" / "index.parquet")
    frames = tables.read(data / "skeleton", ["sample", "frames", "status"])
    length = {row["sample"]: row["frames"] for row in frames.to_pylist() if row["status"] == OK}
    benchmarks = tuple(name for name in index.column_names if name not in INDEX.names)
    wanted = index.select(
        ["sample", "dataset", "label", "subject", "camera", "setup", "status", *benchmarks]
    )
    usable = [row for row in wanted.to_pylist() if row["status"] == OK and row["sample"] in length]
    if not usable:
        raise UserError(f"{data / 'skeleton'} has no usable skeleton to write.")
    rows = {
        row["sample"]: row | {"frames": length[row["sample"]]}
        for row in sorted(usable, key=lambda row: row["sample"])
    }
    classes = len(read_json(data / "index" / "classes.json"))
    return Denoised(data, usable[0]["dataset"], benchmarks, classes, rows)
