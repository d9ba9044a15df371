"""The written skeleton table: read clip by clip, and with the second slot of one-person clips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.layout import SkeletonLayout
from c2vl.core.layout_file import read_layout
from c2vl.core.tables.class_list import read_class_list
from c2vl.core.tables.schemas import OK, benchmarks_of
from c2vl.datasets.skeleton_params import Solo

ROWS = 64  # read at once: some 10 MB of joints


@dataclass(frozen=True)
class SkeletonTable:
    """The skeleton table beside its index.

    Attributes:
        data: the folder with `index/` and `skeleton/`.
        dataset: its short name.
        benchmarks: split columns of the index.
        classes: number of classes.
        layout: the data set's skeleton.
        rows: index row with `frames` of every sample with a usable skeleton, sorted by sample.
    """

    data: Path
    dataset: str
    benchmarks: tuple[str, ...]
    classes: int
    layout: SkeletonLayout
    rows: dict[str, dict[str, Any]]

    def clips(self) -> Iterator[tuple[str, np.ndarray, int]]:
        """(sample, joints (T, M, V, 3) float32, real actors) of all rows, sorted.

        A few clips are in memory at a time.
        """
        for shard in tables.shard_paths(self.data / "skeleton"):
            with pq.ParquetFile(shard) as file:
                for batch in file.iter_batches(ROWS, columns=["sample", "joints", "bodies"]):
                    for row in tables.rows_of(pa.Table.from_batches([batch])):
                        if row["sample"] in self.rows:
                            joints = row["joints"].reshape(-1, *self.layout.shape)
                            yield row["sample"], joints, row["bodies"]


def open_skeleton_table(data: Path) -> SkeletonTable:
    """Open `data/index` and `data/skeleton`, the outputs of the stages of these names.

    Raises:
        UserError: one is missing, or no sample has a usable skeleton.
    """
    index = tables.read(data / "index" / "index.parquet")
    frames = tables.read(data / "skeleton", ["sample", "frames", "status"])
    length = {row["sample"]: row["frames"] for row in frames.to_pylist() if row["status"] == OK}
    benchmarks = tuple(benchmarks_of(index))
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
    classes = len(read_class_list(data))
    dataset, layout = usable[0]["dataset"], read_layout(data)
    return SkeletonTable(data, dataset, benchmarks, classes, layout, rows)


def with_second_slot(table: pa.Table, wanted: Mapping[str, Solo]) -> pa.Table:
    """Return NTU's skeleton table with the second slot of one-person clips as `wanted`.

    The stage calls it when it writes a shard, so that data sets share the denoised clips of the
    sample store, whatever they want in that slot.

    Args:
        table: rows of the skeleton table.
        wanted: zeros or copy, by sample; a sample that is not in it stays as it is.
    """
    column = table.column("joints").combine_chunks()
    names = ("sample", "status", "bodies_seen", "bodies_dropped")
    columns = (table.column(name).to_pylist() for name in names)
    alone = [  # by the published rules, a second body of zeros is nobody, but prevents a copy
        position
        for position, (sample, status, seen, dropped) in enumerate(zip(*columns, strict=True))
        if status == OK and sample in wanted and seen - dropped == 1
    ]
    if not alone:
        return table
    column = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    offsets = column.offsets.to_numpy()
    values = column.values.to_numpy().copy()
    samples = table.column("sample").to_pylist()
    for position in alone:
        joints = values[offsets[position] : offsets[position + 1]].reshape(-1, 2, 25, 3)
        joints[:, 1] = joints[:, 0] if wanted[samples[position]] == "copy" else np.float32(0)
    mask = pa.array(column.is_null().to_pylist()) if column.null_count else None
    made = pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(values), type=column.type, mask=mask
    )
    where = table.column_names.index("joints")
    return table.set_column(where, table.schema.field(where), made)
