"""Failures: rows of the output table, never of the store. Each run tries them again.

A store's folder has two kinds of notes: what failed in the last run, and what processes with
`--fill` pass on to the run that writes the table. That run copies their failures and does not try
again, because its machine may have no GPU. The run after it tries again.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
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
    from c2vl.store.missing import Missing
    from c2vl.store.plan import Plan
    from c2vl.store.store import Store

LAST = "failed_last_time.json"
PASSED_ON = "handed_over"  # folder with one file per share

Note = dict[str, Any]  # key, the row's identity, status, reason


class TooManyError(UserError):
    """More units failed than `max_failed` allows; `failures` holds those known, by key."""

    def __init__(self, text: str, failures: dict[bytes, Failure]) -> None:
        super().__init__(text)
        self.failures = failures


def too_many(stage: Stage, reasons: Counter[str], beside: str) -> str:
    """Return the message for a stage with too many failures; `reasons` counts them."""
    (most, count), failed = reasons.most_common(1)[0], reasons.total()
    return (
        f"{stage.name}: {failed:,} units failed and {beside}: more than the share of "
        f"{stage.max_failed:g} that `max_failed` in params.yaml allows; most often ({count:,}): "
        f"{most} (`c2vl failures {stage.name}` lists them)"
    )


def refuse_if_all_failed(stage: Stage, planned: Plan, failures: dict[bytes, Failure]) -> None:
    """Stop a stage whose every row failed: what comes after it would have nothing to work on.

    Raises:
        TooManyError: so it is.
    """
    reasons = planned.unusable + Counter(note["reason"] for note in planned.notes(failures))
    if stage.all_may_fail or not reasons or reasons.total() < planned.rows:
        return
    most, count = reasons.most_common(1)[0]
    raise TooManyError(
        f"{stage.name}: all {reasons.total():,} units failed; most often ({count:,}): {most} "
        f"(`c2vl failures {stage.name}` lists them)",
        failures,
    )


def failed_last_time(folder: Path) -> list[Note]:
    """Return the notes of the last run."""
    return _read(folder / LAST)


def note_last(store: Store, planned: Plan, failed: Mapping[bytes, Failure]) -> None:
    """Save notes of what failed in this run; a read-only store does not keep them.

    Earlier notes stay while the store lacks their rows: they may be of another data set in the same
    store, such as a transfer target's.
    """
    earlier = failed_last_time(store.folder)
    missing = store.missing([bytes.fromhex(note["key"]) for note in earlier])
    new = planned.notes(failed)
    known = {note["key"] for note in new}
    pairs = zip(earlier, missing, strict=True)
    left = [note for note, lacks in pairs if lacks and note["key"] not in known]
    with contextlib.suppress(OSError):
        if earlier or new:
            write_json(store.folder / LAST, [*left, *new])


@contextlib.contextmanager
def noting_too_many(store: Store, planned: Plan) -> Iterator[None]:
    """Save notes if too many failures end the block; `c2vl failures` then lists them from here."""
    try:
        yield
    except TooManyError as error:
        note_last(store, planned, error.failures)
        raise


def pass_on(folder: Path, share: Share, found: list[Note]) -> None:
    """Save the notes of a share for the run that writes the table."""
    path = folder / PASSED_ON / f"{share.index}-of-{share.count}.json"
    with contextlib.suppress(OSError):
        if found or path.exists():
            write_json(path, found)


def passed_on(folder: Path) -> dict[bytes, Failure]:
    """Return the failures that shares passed on, by key."""
    found = [note for path in sorted((folder / PASSED_ON).glob("*.json")) for note in _read(path)]
    return {bytes.fromhex(note["key"]): Failure(note["status"], note["reason"]) for note in found}


def taken_over(folder: Path, missing: Missing) -> dict[bytes, Failure]:
    """Take the keys that shares failed at out of `missing`; return their failures."""
    found = passed_on(folder)
    taken = {key: found[key] for key in missing.among(found)}
    missing.drop(list(taken))
    return taken


def forget_passed_on(folder: Path) -> None:
    """Delete these notes, so that the next run tries everything again."""
    for path in (folder / PASSED_ON).glob("*.json"):
        with contextlib.suppress(OSError):
            path.unlink()


def _read(path: Path) -> list[Note]:
    """Return the valid notes of a file. It has no checksum: losing a note costs no result."""
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
    """Return the rows of an output that failed: sample, k (if any), status, reason, key (if any).

    Raises:
        UserError: the output does not exist or cannot be read.
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
    """Return the failed rows without an output: from the plan and the notes of what is missing."""
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
