"""What is known of a stage's rows before they are computed: identity, key, status and reason, a ledger a shard.

All of them wait in memory from planning to sealing, packed: names and statuses repeat and shrink to almost nothing, so
that some 20 bytes a row are left, most of them its key. Making them anew would mean to read a stage's inputs twice: 30 GB,
where they are the crops of NTU RGB+D 120.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from c2vl.core.tables.schemas import OK, OUTCOME
from c2vl.store.segments import KEY
from c2vl.store.work import Unit

STATUS, REASON = (field.name for field in OUTCOME)
INHERITED = "inherited"
PACKED = pa.ipc.IpcWriteOptions(compression="zstd")


def ledger(units: Sequence[Unit], schema: pa.Schema) -> pa.Table:
    """The ledger of a shard; `schema` is the out's."""
    identity = [name for name in schema.names if units and name in units[0].identity]
    columns = [
        pa.array([unit.identity[name] for unit in units], schema.field(name).type)
        for name in identity
    ]
    failures = [unit.failure for unit in units]
    columns.append(pa.array([unit.key for unit in units], KEY.type))
    columns.append(pa.array([failure.status if failure else OK for failure in failures]))
    columns.append(pa.array([failure.reason if failure else "" for failure in failures]))
    columns.append(pa.array([failure is not None and failure.inherited for failure in failures]))
    return pa.table(columns, names=[*identity, KEY.name, STATUS, REASON, INHERITED])


class Ledgers:
    """Ledgers by shard, in the order in which they were added."""

    def __init__(self) -> None:
        self._packed: dict[str, bytes] = {}

    def add(self, shard: str, rows: pa.Table) -> None:
        """Keep a shard's ledger."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema, options=PACKED) as writer:
            writer.write_table(rows)
        self._packed[shard] = (
            sink.getvalue().to_pybytes()
        )  # the stream's own buffer is up to twice as long

    def __getitem__(self, shard: str) -> pa.Table:
        return pa.ipc.open_stream(self._packed[shard]).read_all()

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def items(self) -> Iterator[tuple[str, pa.Table]]:
        """(shard, ledger), unpacked one at a time."""
        return ((shard, self[shard]) for shard in self)
