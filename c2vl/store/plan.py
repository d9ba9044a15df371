"""The plan of a run: what is known about each row before it, and which keys to compute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from c2vl.core import machine
from c2vl.core.errors import UserError
from c2vl.core.tables.schemas import OK
from c2vl.store import failures
from c2vl.store.keys import KEY, as_keys, fingerprint_of
from c2vl.store.missing import Missing, blocks
from c2vl.store.share import ALL, Share
from c2vl.store.stage import INHERITED, REASON, STATUS, Failure, Stage, Unit
from c2vl.store.store import Store

PACKED = pa.ipc.IpcWriteOptions(compression="zstd")
MOST_KEPT = 2048  # units; crops of full-HD frames are 60 MB


def known_rows(units: Sequence[Unit], schema: pa.Schema) -> pa.Table:
    """Return what is known about a shard's rows before the run: identity, key, status, reason.

    Args:
        units: of the shard.
        schema: of the output table.
    """
    identity = [name for name in schema.names if units and name in units[0].identity]
    columns = [
        pa.array([unit.identity[name] for unit in units], schema.field(name).type)
        for name in identity
    ]
    failed = [unit.failure for unit in units]
    columns.append(pa.array([unit.key for unit in units], KEY.type))
    columns.append(pa.array([failure.status if failure else OK for failure in failed]))
    columns.append(pa.array([failure.reason if failure else "" for failure in failed]))
    columns.append(pa.array([failure is not None and failure.inherited for failure in failed]))
    return pa.table(columns, names=[*identity, KEY.name, STATUS, REASON, INHERITED])


class KnownRows:
    """`known_rows` by shard, compressed, in the order in which they were added.

    They stay in memory from planning to writing, some 20 bytes a row. Otherwise the stage would
    read its inputs twice; the crops of NTU RGB+D 120 are 30 GB.
    """

    def __init__(self) -> None:
        self._packed: dict[str, bytes] = {}

    def add(self, shard: str, rows: pa.Table) -> None:
        """Keep a shard's rows."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema, options=PACKED) as writer:
            writer.write_table(rows)
        self._packed[shard] = sink.getvalue().to_pybytes()  # the stream's buffer is twice as long

    def __getitem__(self, shard: str) -> pa.Table:
        return pa.ipc.open_stream(self._packed[shard]).read_all()

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def items(self) -> Iterator[tuple[str, pa.Table]]:
        """Yield (shard, rows); one shard is unpacked at a time."""
        return ((shard, self[shard]) for shard in self)


@dataclass
class Plan:
    """A stage before it runs.

    Attributes:
        known: what is known about each shard's rows.
        missing: keys to compute; for a share, only the keys of that share.
        rows: number of rows of this stage, without rows that failed in an earlier stage.
        unusable: counts the reasons why rows have no input, without inherited failures.
        columns: names of the columns that are known before the run.
        units: units of the first shards, if they are few, so that they are read only once.
        start: where among the shards and blocks to begin, from 0 to 1.
    """

    known: KnownRows
    missing: Missing
    rows: int
    unusable: Counter[str]
    columns: list[str]
    units: dict[str, Sequence[Unit]] = field(default_factory=dict)
    start: float = 0.0

    def notes(self, failed: Mapping[bytes, Failure]) -> list[failures.Note]:
        """Return a note for each row in `failed`."""
        found: list[failures.Note] = []
        for _, rows in self.known.items() if failed else ():
            for row in rows.drop_columns([STATUS, REASON, INHERITED]).to_pylist():
                if why := failed.get(key := row.pop(KEY.name)):
                    found.append(
                        {"key": key.hex(), **row, "status": why.status, "reason": why.reason}
                    )
        return found


def described(stage: Stage) -> tuple[str, dict[str, Any]]:
    """Return the fingerprint of a stage under its parameters, and its description."""
    description = {**stage.description(), "columns": stage.schema(None).names}
    return fingerprint_of(description), description


def open_store(
    stage: Stage, verify: bool = True, look: bool = False
) -> tuple[Store, dict[str, Any]]:
    """Open the store of a stage; return it with the description behind its fingerprint.

    Args:
        stage: the stage.
        verify: compare its segments with their checksums.
        look: change nothing on the disk.
    """
    fingerprint, description = described(stage)
    root = machine.store_dir()
    return Store(root, stage.name, fingerprint, description, verify, look), description


def plan(stage: Stage, store: Store, share: Share = ALL) -> Plan:
    """Read all units and look up which are missing. Computes nothing.

    A key that several rows share belongs to the first of them, so that no two shares compute it.

    Raises:
        UserError: an input is missing, or no sample can be used.
    """
    known, columns, unusable, own_rows, blocks_seen = KnownRows(), list[str](), Counter[str](), 0, 0
    inherited = Counter[str]()
    absent: list[np.ndarray] = []
    own: list[np.ndarray] = []
    kept: dict[str, Sequence[Unit]] = {}
    for shard in stage.shards():
        units = stage.units(shard, store.fingerprint)
        rows = known_rows(units, stage.schema(None))
        known.add(shard, rows)
        columns = max(columns, rows.column_names, key=len)  # a shard without units knows fewer
        ours = [unit for unit in units if unit.failure is None or not unit.failure.inherited]
        own_rows += len(ours)
        failed = [unit.failure for unit in units if unit.failure is not None]
        inherited.update(failure.reason for failure in failed if failure.inherited)
        unusable.update(unit.failure.reason for unit in ours if unit.failure is not None)
        keys = as_keys(rows.column(KEY.name).drop_null())
        lacks = store.missing(keys)
        absent.append(keys[lacks])
        if lacks.any() and len(units) + sum(map(len, kept.values())) <= MOST_KEPT:
            kept[shard] = units
        mine = np.ones(len(absent[-1]), bool)
        if share != ALL:
            taken: set[bytes | None] = set()
            for block in blocks(units):
                if share.takes(blocks_seen):
                    taken |= {unit.key for unit in block}
                blocks_seen += 1
            asked = rows.column(KEY.name).drop_null().to_pylist()
            mine = np.array([key in taken for key in asked], bool)[lacks]
        own.append(mine)
    if not own_rows and not stage.may_be_empty:
        often = f"; most often ({inherited.most_common(1)[0][1]:,}): " if inherited else ""
        often += inherited.most_common(1)[0][0] if inherited else ""
        raise UserError(
            f"{stage.name}: no sample can be used{often}. The table of the stage before it gives "
            "the reasons in its column `reason`."
        )
    return Plan(known, Missing([*known], absent, own), own_rows, unusable, columns, kept)
