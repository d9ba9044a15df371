"""Fill the store from an output table, with rows that it lost or another machine computed.

The shards of an output hold the content key of each row. Only rows are taken whose key the present
content, parameters and engine ask for. DVC removes an output before it runs a stage, but not its
files in DVC's cache. From there, only files are taken that still have the checksum DVC noted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from c2vl.core.tables.schemas import OK
from c2vl.store.failures import LAST, Note, failed_last_time
from c2vl.store.keys import KEY, as_keys
from c2vl.store.missing import Missing
from c2vl.store.plan import Plan
from c2vl.store.publish import stored_columns
from c2vl.store.stage import REASON, STATUS, Stage
from c2vl.store.store import Store

log = logging.getLogger(__name__)

SEED_BYTES = 64 * 2**20  # size of one segment
BATCH_ROWS = 1024
LOCK = Path("dvc.lock")  # describes the last version until the stage has succeeded


def take_last_version(stage: Stage, store: Store, planned: Plan, output: Path) -> list[Note]:
    """Take missing rows from the last version of `output`; return notes of what failed before."""
    if not len(planned.missing):
        return []
    sources = versions_of(output)
    if taken := seed(store, stage, planned.columns, planned.missing, sources):
        log.info(f"{stage.name}: {taken:,} rows taken from the last version of {output}.")
        store.note_written()  # so what is still missing counts as new, not as a first run
    return failed_before(store, sources)


@dataclass(frozen=True)
class Source:
    """A Parquet shard of an output's last version; `md5` is None if unknown."""

    path: Path
    md5: str | None = None

    def is_intact(self) -> bool:
        """True if the file has its checksum, or none is known."""
        if self.md5 is None:
            return True
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest() == self.md5


def versions_of(output: Path) -> list[Source]:
    """Return the shards of `output` in DVC's cache, and those in the folder itself."""
    files = cached_files(output)
    cached = [
        Source(path, md5)
        for name, (path, md5) in sorted(files.items())
        if name.endswith(".parquet")
    ]
    known = {name: md5 for name, (_, md5) in files.items()}
    here = sorted(output.glob("*.parquet"))
    return cached + [Source(path, known.get(path.name)) for path in here]


def cached_files(output: Path) -> dict[str, tuple[Path, str]]:
    """Return the files of a folder in DVC's cache, as `dvc.lock` lists them: name -> (path, md5).

    Empty without DVC, without a lock file, or if the cache does not have it. Fetches nothing.
    """
    digest = _digest(output)
    if digest is None:
        return {}
    try:
        from dvc.repo import Repo

        with Repo() as repo:
            cache = repo.cache.local
            listing = json.loads(Path(cache.oid_to_path(digest)).read_text(encoding="utf-8"))
            files = {
                str(entry["relpath"]): (Path(cache.oid_to_path(entry["md5"])), str(entry["md5"]))
                for entry in listing
            }
    except Exception:  # without an answer from DVC, the rows are computed
        return {}
    return {name: (path, md5) for name, (path, md5) in files.items() if path.is_file()}


def _digest(output: Path) -> str | None:
    """Return the `….dir` digest of `output` in the lock file."""
    try:
        lock: Any = yaml.load(
            LOCK.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        )
    except (OSError, ValueError, yaml.YAMLError):
        return None
    stages = lock.get("stages") if isinstance(lock, dict) else None
    for stage in stages.values() if isinstance(stages, dict) else ():
        for entry in stage.get("outs") or ():
            if entry.get("path") == output.as_posix() and str(entry.get("md5", "")).endswith(
                ".dir"
            ):
                return str(entry["md5"])
    return None


def seed(
    store: Store, stage: Stage, known: Sequence[str], missing: Missing, sources: list[Source]
) -> int:
    """Publish the rows of `sources` whose keys are missing, and drop these from `missing`.

    Args:
        store: the store that lacks them.
        stage: the stage.
        known: columns that are known before the run, and so not stored.
        missing: keys that the stage needs now.
        sources: shards; one that is missing, damaged or has other columns is skipped.

    Returns:
        The number of rows that were published.
    """
    taken = 0
    for source in sources:
        if not len(missing):
            break
        with contextlib.suppress(OSError, pa.ArrowException, KeyError):
            if not missing.has(keys_of(source.path)).any() or not source.is_intact():
                continue
            for found in _found(source.path, stage, known, missing):
                store.publish(found)
                taken += missing.drop(as_keys(found.column(KEY.name)))
    return taken


def drop_available(missing: Missing, sources: list[Source]) -> int:
    """Drop from `missing` what `seed` would find; return how many. Reads only keys."""
    found = 0
    for source in sources:
        with contextlib.suppress(OSError, pa.ArrowException, KeyError):
            found += missing.drop(keys_of(source.path))
    return found


def failed_before(store: Store, sources: list[Source]) -> list[Note]:
    """Return notes of what failed last: the store's, or else those of the last output."""
    return failed_last_time(store.folder) if (store.folder / LAST).exists() else failed_in(sources)


def failed_in(sources: list[Source]) -> list[Note]:
    """Return notes of the failed rows of `sources`, for a machine that only pulled them."""
    found: dict[tuple[Any, ...], Note] = {}  # a row may be in DVC's cache and in the output
    for source in sources:
        with contextlib.suppress(OSError, pa.ArrowException, KeyError):
            status = pq.read_table(source.path, columns=[STATUS]).column(STATUS)
            if pc.all(pc.equal(status, OK)).as_py():
                continue
            wanted = ("sample", "k", STATUS, REASON, KEY.name)
            columns = [name for name in pq.read_schema(source.path).names if name in wanted]
            table = pq.read_table(source.path, columns=columns, page_checksum_verification=True)
            for row in table.to_pylist():
                if row[STATUS] != OK and row["key"]:
                    note = {**row, "key": row["key"].hex()}
                    found[note["sample"], note.get("k"), note["key"]] = note
    return [*found.values()]


def keys_of(path: Path) -> np.ndarray:
    """Return the keys of a shard's rows that have a result, `S16`.

    Raises:
        OSError, pa.ArrowException: it cannot be read.
        KeyError: it has no keys.
    """
    table = pq.read_table(path, columns=[KEY.name, STATUS], page_checksum_verification=True)
    usable = table.filter(
        pc.and_(pc.equal(table.column(STATUS), OK), pc.is_valid(table.column(KEY.name)))
    )
    return as_keys(usable.column(KEY.name).cast(KEY.type))


def _found(path: Path, stage: Stage, known: Sequence[str], missing: Missing) -> Iterator[pa.Table]:
    """Yield the rows of `path` that are missing, each once, as the store keeps them."""
    waiting: list[pa.Table] = []
    seen: set[bytes] = set()
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        schema = stored_columns(stage.schema(file.schema_arrow), known).append(KEY)
        for batch in file.iter_batches(BATCH_ROWS, columns=[*schema.names, STATUS]):
            status, keys = batch.column(STATUS).to_pylist(), batch.column(KEY.name).to_pylist()
            usable = {
                key: i
                for i, (state, key) in reversed([*enumerate(zip(status, keys, strict=True))])
                if state == OK and key
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
