"""Units for the prompts of an earlier stage; a failed row keeps the reason of that stage."""

from __future__ import annotations

from pathlib import Path

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


def _units(path: Path, column: str, fingerprint: str) -> list[Unit]:
    units = []
    for row in tables.rows_of(tables.read(path, ["sample", "k", column, "status", "reason"])):
        identity = {"sample": row["sample"], "k": row["k"]}
        if row["status"] == OK:
            units.append(Unit(identity, content_key(fingerprint, row[column]), row[column]))
        else:
            units.append(
                Unit(identity, None, failure=Failure(f"no_{column}", row["reason"], inherited=True))
            )
    return units
