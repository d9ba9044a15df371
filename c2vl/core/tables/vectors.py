"""Columns of vectors as arrays, and back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Return all numbers of a list column as one flat array; rows that are null are skipped."""
    kind = column.type.value_type.to_pandas_dtype()
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate([np.zeros(0, kind), *chunks])


def vectors(column: pa.ChunkedArray) -> np.ndarray:
    """Return a fixed-size-list column as (N, width); rows that are null are skipped."""
    return numbers(column).reshape(-1, column.type.list_size)


def vector_column(values: np.ndarray) -> pa.FixedSizeListArray:
    """Return the rows of (N, width) as a fixed-size-list column without nulls."""
    flat = pa.array(values.reshape(-1))
    kind = pa.list_(pa.field("element", flat.type), values.shape[1])
    return pa.FixedSizeListArray.from_arrays(flat, type=kind)
