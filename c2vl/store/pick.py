"""Rows of a table by position, without copying what lies together.

`pyarrow.Table.take` copies lists number by number, about a millisecond for the joints of one clip. What a stage takes from
the store mostly lies there in the order it is wanted in, and a slice of it costs nothing.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

SCATTERED = 4  # rows a run on average; below, slices cost more than copies


def pick(table: pa.Table, positions: np.ndarray) -> pa.Table:
    """The rows at `positions` (N,) in that order, as `take` gives them; -1 is a row of nulls."""
    positions = np.asarray(positions, np.int64)
    if not len(positions):
        return table.slice(0, 0)
    begins = np.flatnonzero(np.diff(positions, prepend=-9) != 1)
    begins = np.unique(
        np.concatenate(
            [begins, np.flatnonzero(positions < 0), np.flatnonzero(positions[:-1] < 0) + 1]
        )
    )
    ends = np.append(begins[1:], len(positions))
    if len(begins) > 16 and len(begins) * SCATTERED > len(positions):
        return table.take(pa.array(positions, mask=positions < 0))
    runs = zip(begins.tolist(), ends.tolist(), strict=True)
    return pa.concat_tables(_run(table, int(positions[begin]), end - begin) for begin, end in runs)


def _run(table: pa.Table, first: int, rows: int) -> pa.Table:
    if first < 0:
        schema = pa.schema([field.with_nullable(True) for field in table.schema])
        return pa.table([pa.nulls(rows, field.type) for field in schema], schema=schema)
    return table.slice(first, rows)
