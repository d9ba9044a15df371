"""Seed the store from an out: rows that somebody else computed, or that this store has lost.

The shards of an out carry the content key of each row. Only rows whose key the present content, parameters and engine
ask for are taken, so an out made in any other way gives nothing; and of DVC's cache only files that still have the
checksum DVC knows them by.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from c2vl.core.tables.schemas import OK
from c2vl.store.dvc_cache import cached_files
from c2vl.store.failures import LAST, Note, failed_last_time
from c2vl.store.ledgers import REASON, STATUS
from c2vl.store.missing import Missing
from c2vl.store.seal import stored_columns
from c2vl.store.segments import KEY, as_keys
from c2vl.store.store import Store
from c2vl.store.work import Work

SEED_BYTES = 64 * 2**20  # of one segment
BATCH_ROWS = 1024


@dataclass(frozen=True)
class Source:
    """A Parquet shard of an out's last version; `md5` is None where nobody knows what it should be."""

    path: Path
    md5: str | None = None

    def is_intact(self) -> bool:
        """Whether the file is what its checksum says."""
        if self.md5 is None:
            return True
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest() == self.md5


def versions_of(out: Path) -> list[Source]:
    """The shards of `out` as DVC last had them in its cache, which it has also after it removed `out`, and those in `out`."""
    cached = [
        Source(path, md5)
        for name, (path, md5) in sorted(cached_files(out).items())
        if name.endswith(".parquet")
    ]
    return cached + [Source(path) for path in sorted(out.glob("*.parquet"))]


def seed(
    store: Store, work: Work, known: Sequence[str], missing: Missing, sources: list[Source]
) -> int:
    """Publish the rows of `sources` whose keys are missing, and drop these from `missing`.

    Args:
        store: where they are missing.
        work: the stage.
        known: columns of its ledgers, which tell those that are stored from those that are known beforehand.
        missing: keys that the stage asks for, computed from what it reads and how it works on it now.
        sources: shards to look in; one that is gone, damaged or of other columns gives nothing.

    Returns:
        How many there were.
    """
    taken = 0
    for source in sources:
        if not len(missing):
            break
        with contextlib.suppress(OSError, pa.ArrowException, KeyError):
            if not missing.has(keys_of(source.path)).any() or not source.is_intact():
                continue
            for found in _found(source.path, work, known, missing):
                store.publish(found)
                taken += missing.drop(as_keys(found.column(KEY.name)))
    return taken


def drop_available(missing: Missing, sources: list[Source]) -> int:
    """Drop from `missing` what `seed` would find, and return how many these are; only keys are read."""
    found = 0
    for source in sources:
        with contextlib.suppress(OSError, pa.ArrowException, KeyError):
            found += missing.drop(keys_of(source.path))
    return found


def failed_before(store: Store, sources: list[Source]) -> list[Note]:
    """Notes of what failed in the last run, as the store has them or, where no run has ended yet, the out's last version."""
    return failed_last_time(store.folder) if (store.folder / LAST).exists() else failed_in(sources)


def failed_in(sources: list[Source]) -> list[Note]:
    """Notes of the rows of `sources` that failed: on a machine that only pulled them the store has none of its own."""
    found: dict[tuple[Any, ...], Note] = {}  # a row of the out may be in DVC's cache as well
    for source in sources:
        with contextlib.suppress(OSError, pa.ArrowException, KeyError):
            if not pc.all(
                pc.equal(pq.read_table(source.path, columns=[STATUS]).column(STATUS), OK)
            ).as_py():
                told = [
                    name
                    for name in pq.read_schema(source.path).names
                    if name in ("sample", "k", STATUS, REASON, KEY.name)
                ]
                rows = pq.read_table(
                    source.path, columns=told, page_checksum_verification=True
                ).to_pylist()
                notes = (
                    {**row, "key": row["key"].hex()}
                    for row in rows
                    if row[STATUS] != OK and row["key"]
                )
                found |= {(note["sample"], note.get("k"), note["key"]): note for note in notes}
    return [*found.values()]


def keys_of(path: Path) -> np.ndarray:
    """Keys of the rows of a shard that have a result, `S16`.

    Raises:
        OSError, pa.ArrowException: it is not readable.
        KeyError: it has no keys.
    """
    table = pq.read_table(path, columns=[KEY.name, STATUS], page_checksum_verification=True)
    usable = table.filter(
        pc.and_(pc.equal(table.column(STATUS), OK), pc.is_valid(table.column(KEY.name)))
    )
    return as_keys(usable.column(KEY.name).cast(KEY.type))


def _found(path: Path, work: Work, known: Sequence[str], missing: Missing) -> Iterator[pa.Table]:
    """The rows of `path` among `missing`, each once, as the store keeps them."""
    waiting: list[pa.Table] = []
    seen: set[bytes] = set()
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        schema = stored_columns(work.schema(file.schema_arrow), known).append(KEY)
        for batch in file.iter_batches(BATCH_ROWS, columns=[*schema.names, STATUS]):
            status, keys = batch.column(STATUS).to_pylist(), batch.column(KEY.name).to_pylist()
            usable = {
                key: i
                for i, (said, key) in reversed([*enumerate(zip(status, keys, strict=True))])
                if said == OK and key
            }
            positions = sorted(usable[key] for key in missing.among(usable.keys() - seen))
            if not positions:
                continue
            seen |= {keys[i] for i in positions}
            waiting.append(pa.table(batch).select(schema.names).take(positions).cast(schema))
            if sum(table.nbytes for table in waiting) >= SEED_BYTES:
                yield pa.concat_tables(waiting)
                waiting = []
    if waiting:
        yield pa.concat_tables(waiting)
