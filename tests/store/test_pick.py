"""Rows picked by slices are the rows that `take` gives, to the byte of a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from c2vl.core import tables
from c2vl.store.segments import pick

ROWS = 40
LISTS = pa.array(
    [[number] * (number % 4) if number % 7 else None for number in range(ROWS)],
    pa.list_(pa.float32()),
)
TABLE = pa.table(
    {"name": [f"n{number}" for number in range(ROWS)], "lists": LISTS, "number": np.arange(ROWS)}
)
runs = st.tuples(st.integers(-1, ROWS - 1), st.integers(1, 12)).map(
    lambda run: [run[0]] * 1 if run[0] < 0 else list(range(run[0], min(ROWS, sum(run))))
)


@given(st.lists(runs, max_size=30), st.integers(1, ROWS))
def test_pick_is_take(picked: list[list[int]], chunk: int) -> None:
    positions = np.array([position for run in picked for position in run], np.int64)
    table = pa.concat_tables(TABLE.slice(begin, chunk) for begin in range(0, ROWS, chunk))
    expected = table.take(pa.array(positions, pa.int64(), mask=positions < 0))
    assert pick(table, positions).equals(expected)


def test_a_file_of_picked_rows_has_the_same_bytes(tmp_path: Path) -> None:
    positions = np.array([*range(5, 30), -1, -1, *range(2, 9), 39])
    tables.write(tmp_path / "a.parquet", pick(TABLE, positions))
    tables.write(tmp_path / "b.parquet", TABLE.take(pa.array(positions, mask=positions < 0)))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
