"""How many clips and classes a benchmark has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from c2vl.core import tables
from c2vl.core.tables.class_list import read_class_list
from c2vl.core.tables.schemas import OK

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Split:
    """Clips and classes of a benchmark."""

    train: int
    test: int
    classes: int

    @property
    def clips(self) -> int:
        """Clips of both splits."""
        return self.train + self.test


def splits_of(folder: Path, benchmarks: Iterable[str]) -> dict[str, Split]:
    """The usable clips of each benchmark, from the index in `folder`.

    Raises:
        UserError: the index is missing, or has no such benchmark.
    """
    benchmarks = list(benchmarks)
    index: pa.Table = tables.read(folder / "index" / "index.parquet", ["status", *benchmarks])
    classes = len(read_class_list(folder))
    usable = [status == OK for status in index["status"].to_pylist()]
    found = {}
    for name in benchmarks:
        members = [value for value, ok in zip(index[name].to_pylist(), usable, strict=True) if ok]
        found[name] = Split(members.count("train"), members.count("test"), classes)
    return found
