"""What the second slot of a one-person clip holds: decided as a table is sealed, so that data sets share the denoised clips."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from c2vl.core.tables.schemas import OK
from c2vl.datasets.skeletons.line import Solo


def with_second_slot(table: pa.Table, wanted: Mapping[str, Solo]) -> pa.Table:
    """Return the skeleton table with the second slot of one-person clips as `wanted`, whatever it holds now.

    Args:
        table: of the stage `skeleton`.
        wanted: zeros or copy, by sample; a sample that is not in it stays as it is.
    """
    column = table.column("joints").combine_chunks()
    columns = (table.column(name).to_pylist() for name in ("sample", "status", "bodies", "merged"))
    alone = [
        position
        for position, (sample, status, bodies, merged) in enumerate(zip(*columns, strict=True))
        if status == OK and bodies == 1 and merged == 0 and sample in wanted
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
