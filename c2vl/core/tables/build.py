"""Converts rows to tables of a declared schema, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa


def table_of(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Convert `rows` to a table of exactly `schema`; a missing key becomes null.

    List columns also take numpy arrays of any shape. They are stored row-major and fast.

    Raises:
        ValueError: a row has a key that is not in the schema, or an array of another dtype than
            its column.
    """
    rows, known = list(rows), set(schema.names)
    for row in rows:
        if not row.keys() <= known:
            raise ValueError(f"not in the schema: {sorted(row.keys() - known)}")
    return pa.table(
        [_column([row.get(field.name) for row in rows], field) for field in schema], schema=schema
    )


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """Convert `table` to dictionaries; lists of numbers become flat, read-only numpy arrays."""
    columns = {name: _values(table.column(name)) for name in table.column_names}
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)


def _is_numeric_list(kind: pa.DataType) -> bool:
    return _is_list(kind) and (
        pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type)
    )


def _column(values: list[Any], field: pa.Field) -> pa.Array:
    if not _is_numeric_list(field.type) or not any(
        isinstance(value, np.ndarray) for value in values
    ):
        return pa.array(values, type=field.type)
    dtype = field.type.value_type.to_pandas_dtype()
    arrays = [None if value is None else _flat(value, dtype, field.name) for value in values]
    if pa.types.is_fixed_size_list(field.type):
        blank = np.zeros(field.type.list_size, dtype)
        flat = np.concatenate([blank if array is None else array for array in arrays])
        return pa.FixedSizeListArray.from_arrays(
            pa.array(flat), type=field.type, mask=_mask(arrays)
        )
    sizes = [0 if array is None else array.size for array in arrays]
    flat = np.concatenate([np.zeros(0, dtype), *(array for array in arrays if array is not None)])
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array(flat), type=field.type, mask=_mask(arrays))


def _flat(value: Any, dtype: Any, name: str) -> np.ndarray:
    array = np.asarray(value)
    if array.size and array.dtype != dtype:
        raise ValueError(f"column {name} holds {np.dtype(dtype)}, not {array.dtype}")
    return array.astype(dtype, copy=False).reshape(-1)


def _mask(arrays: list[np.ndarray | None]) -> pa.Array | None:
    absent = [array is None for array in arrays]
    return pa.array(absent) if any(absent) else None


def _values(column: pa.ChunkedArray) -> list[Any]:
    if not _is_numeric_list(column.type):
        return column.to_pylist()
    values: list[Any] = []
    for chunk in column.chunks:
        values += [scalar.values.to_numpy() if scalar.is_valid else None for scalar in chunk]
    return values
