"""Units for the prompts of an earlier stage; a failed row keeps the reason of that stage."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from c2vl.core import tables
from c2vl.core.tables.schemas import OK
from c2vl.store.keys import content_key
from c2vl.store.stage import Failure, Unit


def crop_units(path: Path, fingerprint: str) -> list[Unit]:
    """Return a unit for each row of a shard of the crop table; its content is the JPEG."""
    return _units(path, "crop", fingerprint)


def answer_units(path: Path, fingerprint: str) -> list[Unit]:
    """Return a unit for each row of a shard of the caption table; its content is the answer."""
    return _units(path, "answer", fingerprint)


def clip_units(path: Path, fingerprint: str) -> list[Unit]:
    """As `crop_units`, but the content is all usable crops of the clip, in order.

    The rows of a clip share a key, so the clip is computed once, and each of them has its result.
    """
    units = []
    for _, group in groupby(_rows(path, "crop"), key=lambda row: row["sample"]):
        rows = list(group)
        crops = tuple(row["crop"] for row in rows if row["status"] == OK)
        key = content_key(fingerprint, *crops)
        units += [
            Unit(_identity(row), key, crops) if row["status"] == OK else _failed(row, "crop")
            for row in rows
        ]
    return units


def whole_clip_units(path: Path, fingerprint: str) -> list[Unit]:
    """Return one unit for each clip of a shard of the crop table; its `k` is None.

    Its content is all usable crops of the clip, in order. A clip without any keeps the reason of
    its first crop.
    """
    units = []
    for sample, group in groupby(_rows(path, "crop"), key=lambda row: row["sample"]):
        rows = list(group)
        crops = tuple(row["crop"] for row in rows if row["status"] == OK)
        if crops:
            identity = {"sample": sample, "k": None}
            units.append(Unit(identity, content_key(fingerprint, *crops), crops))
        else:
            units.append(_failed(rows[0] | {"k": None}, "crop"))
    return units


def _units(path: Path, column: str, fingerprint: str) -> list[Unit]:
    return [
        Unit(_identity(row), content_key(fingerprint, row[column]), row[column])
        if row["status"] == OK
        else _failed(row, column)
        for row in _rows(path, column)
    ]


def _rows(path: Path, column: str) -> list[dict[str, Any]]:
    return tables.rows_of(tables.read(path, ["sample", "k", column, "status", "reason"]))


def _identity(row: dict[str, Any]) -> dict[str, Any]:
    return {"sample": row["sample"], "k": row["k"]}


def _failed(row: dict[str, Any], column: str) -> Unit:
    failure = Failure(f"no_{column}", row["reason"], inherited=True)
    return Unit(_identity(row), None, failure=failure)
