"""Failures: rows of the output table, never of the store; told apart from new units and retried.

A store's folder has two kinds of notes: what failed in the last run, and what the processes that
only fill the store pass on to the run that writes the table. That run takes over their failures
instead of trying again, on a machine that may have no accelerator. The run after it tries again.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.files import read_json, write_json
from c2vl.core.tables.schemas import OK
from c2vl.store.keys import KEY, KEY_BYTES
from c2vl.store.share import Share
from c2vl.store.stage import INHERITED, STATUS, Failure, Stage

if TYPE_CHECKING:
    from c2vl.store.plan import Plan
    from c2vl.store.store import Store

LAST = "failed_last_time.json"
PASSED_ON = "handed_over"  # folder, a file a share

Note = dict[str, Any]  # key, the row's identity, status, reason


class TooManyError(UserError):
    """More units of a stage failed than may; `failures` are those known, by key."""

    def __init__(self, text: str, failures: dict[bytes, Failure]) -> None:
        super().__init__(text)
        self.failures = failures


def too_many(stage: Stage, reasons: Counter[str], beside: str) -> str:
    """The sentence of a stage that fails as a whole; `reasons` counts its failures."""
    (most, count), failed = reasons.most_common(1)[0], reasons.total()
    return (
        f"{stage.name}: {failed:,} units failed and {beside}: above the share of "
        f"{stage.max_failed:g} that `max_failed` in params.yaml allows; most often ({count:,}): "
        f"{most} (`c2vl failures {stage.name}` lists them)"
    )


def notes(
    failures: Mapping[bytes, Failure], identities: Iterable[tuple[bytes, Mapping[str, Any]]]
) -> list[Note]:
    """One note a failed row; `identities` are (key, identity) of rows that may have failed."""
    return [
        {
            "key": key.hex(),
            **identity,
            "status": failures[key].status,
            "reason": failures[key].reason,
        }
        for key, identity in identities
        if key in failures
    ]


def failed_last_time(folder: Path) -> list[Note]:
    """Notes of the last run."""
    return _read(folder / LAST)


def note_last(folder: Path, found: list[Note]) -> None:
    """Keep the notes of a run; a store that cannot be written forgets."""
    with contextlib.suppress(OSError):
        if found or (folder / LAST).exists():
            write_json(folder / LAST, found)


@contextlib.contextmanager
def noting_too_many(store: Store, planned: Plan) -> Iterator[None]:
    """Keep notes of failures that end the block: without an output they are listed from here."""
    try:
        yield
    except TooManyError as error:
        earlier = failed_last_time(store.folder)
        missing = store.missing([bytes.fromhex(note["key"]) for note in earlier])
        new = planned.notes(error.failures)
        known = {note["key"] for note in new}
        pairs = zip(earlier, missing, strict=True)
        left = [note for note, lacks in pairs if lacks and note["key"] not in known]
        note_last(store.folder, [*left, *new])
        raise


def pass_on(folder: Path, share: Share, found: list[Note]) -> None:
    """Leave the notes of a share for the run that writes the table."""
    path = folder / PASSED_ON / f"{share.index}-of-{share.count}.json"
    with contextlib.suppress(OSError):
        if found or path.exists():
            write_json(path, found)


def passed_on(folder: Path) -> dict[bytes, Failure]:
    """What shares left, by key."""
    found = [note for path in sorted((folder / PASSED_ON).glob("*.json")) for note in _read(path)]
    return {bytes.fromhex(note["key"]): Failure(note["status"], note["reason"]) for note in found}


def forget_passed_on(folder: Path) -> None:
    """Let the next run try everything again."""
    for path in (folder / PASSED_ON).glob("*.json"):
        with contextlib.suppress(OSError):
            path.unlink()


def _read(path: Path) -> list[Note]:
    """The notes that are whole: the file has no checksum, and losing one costs no result."""
    with contextlib.suppress(OSError, ValueError):
        found = read_json(path)
        return [note for note in found if _is_whole(note)] if isinstance(found, list) else []
    return []


def _is_whole(note: Any) -> bool:
    names = ("key", "status", "reason")
    if not isinstance(note, dict) or not all(isinstance(note.get(name), str) for name in names):
        return False
    return re.fullmatch(rf"[0-9a-f]{{{2 * KEY_BYTES}}}", note["key"]) is not None


def failed_rows(output: Path) -> list[dict[str, Any]]:
    """Rows of an output that are not ok: sample, k (if any), status, reason, key (if any).

    Raises:
        UserError: the output is not there or not readable.
    """
    found: list[dict[str, Any]] = []
    for path in tables.shard_paths(output):
        status = tables.read(path, ["status"])  # a narrow column; most shards have no failure
        if pc.all(pc.equal(status.column("status"), OK)).as_py():
            continue
        wanted = ("sample", "k", "status", "reason", KEY.name)
        table = tables.read(path, [name for name in wanted if _has(path, name)])
        found += table.filter(pc.not_equal(table.column("status"), OK)).to_pylist()
    return found


def _has(path: Path, column: str) -> bool:
    import pyarrow.parquet as pq

    return column in pq.read_schema(path).names


def noted_rows(store: Store, planned: Plan) -> list[dict[str, Any]]:
    """The same without the output: from the plan, and from the notes on what is missing still."""
    found: list[dict[str, Any]] = []
    for _, rows in planned.known.items():
        failed = rows.filter(pc.not_equal(rows.column(STATUS), OK))
        found += failed.drop_columns([INHERITED]).to_pylist()
    noted = {
        bytes.fromhex(note["key"]): Failure(note["status"], note["reason"])
        for note in failed_last_time(store.folder)
    }
    noted |= passed_on(store.folder)
    still = planned.missing.among(noted)
    found += planned.notes({key: noted[key] for key in still})
    return sorted(found, key=lambda row: (row["sample"], row.get("k") or 0))
