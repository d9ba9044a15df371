"""What is done with one batch: alone where it fails as a whole, and on to the disk where a worker process does all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from c2vl.core.disk_errors import said_plainly
from c2vl.core.errors import UserError
from c2vl.core.machine import lost_device
from c2vl.core.tables import table_of
from c2vl.store.publisher import LARGE_BYTES
from c2vl.store.segments import KEY, Written, as_keys, write_segment
from c2vl.store.work import Failure, Row, Unit


def each(function: Callable[..., list[Any]], *columns: Sequence[Any]) -> list[Any]:
    """Call `function` on whole columns; if that raises, on each row alone, so that a bad one spoils no other.

    Raises:
        UserError: `function` did; or the GPU is lost, which is no fault of all the rows that would follow.
    """
    try:
        return function(*columns)
    except UserError:
        raise
    except Exception as error:
        if lost := lost_device():
            raise UserError(
                f"The GPU answers no more ({lost}); what was finished is kept: run again, on another device (C2VL_DEVICE) if "
                "that does not help."
            ) from error
        if len(columns[0]) > 1:
            return [
                one
                for row in zip(*columns, strict=True)
                for one in each(function, *([item] for item in row))
            ]
        said = " ".join(str(error).split())[:200]
        return [Failure("error", f"{type(error).__name__}: {said}")]


@dataclass(frozen=True)
class Done:
    """A batch that a worker process has finished.

    Attributes:
        failures: of each unit, None where it has a row.
        rows: those rows, or the segment that they are in, so that they need not pass through the parent.
    """

    failures: list[Failure | None]
    rows: pa.Table | Written


def done_here(
    prepare: Callable[[Sequence[Unit]], list[Any]],
    folder: Path,
    schema: pa.Schema,
    units: Sequence[Unit],
) -> Done:
    """Do a batch from its units to the disk, in a worker process; of few bytes the parent makes larger segments.

    Args:
        prepare: gives a row or a failure a unit.
        folder: of the store.
        schema: of a segment.
        units: the batch.

    Raises:
        UserError: the store cannot be written.
    """
    outcomes = each(prepare, units)
    rows = rows_with_keys([unit.key for unit in units], outcomes, schema)
    return Done(failures_of(outcomes), rows if rows.nbytes < LARGE_BYTES else written(folder, rows))


def failures_of(outcomes: Sequence[Any]) -> list[Failure | None]:
    """Those among `outcomes`, None in the place of others."""
    return [outcome if isinstance(outcome, Failure) else None for outcome in outcomes]


def rows_with_keys(
    keys: Sequence[bytes | None], outcomes: Sequence[Row | Failure], schema: pa.Schema
) -> pa.Table:
    """The rows among `outcomes`, each with its key, as a table of `schema`."""
    good = [
        (key, row) for key, row in zip(keys, outcomes, strict=True) if not isinstance(row, Failure)
    ]
    return table_of([{**row, KEY.name: key} for key, row in good], schema)


def written(folder: Path, rows: pa.Table) -> Written:
    """Publish `rows` in the store's folder; waits for the disk where they are many bytes.

    Raises:
        UserError: the store cannot be written.
    """
    durable = rows.nbytes >= LARGE_BYTES
    with said_plainly(folder):
        return Written(
            write_segment(folder, rows, durable),
            as_keys(rows.column(KEY.name)),
            rows.nbytes,
            durable,
        )
