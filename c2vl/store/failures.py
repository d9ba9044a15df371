"""Failures, kept beside the rows and never among them: to be told apart from new units, listed, and tried again.

Two kinds of notes in a store's folder: what failed in the last run that came to its end or had too many failures, and
what workers that merely fill hand over to the run that seals. That run takes over their failures instead of trying again
at once, on a machine that may have no accelerator; the next one tries them as any other.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from c2vl.core.files import read_json, write_json
from c2vl.store.keys import KEY_BYTES
from c2vl.store.share import Share
from c2vl.store.work import Failure

LAST = "failed_last_time.json"
HANDED_OVER = "handed_over"  # folder, a file a share

Note = dict[str, Any]  # key, the row's identity, status, reason


def notes(
    failures: Mapping[bytes, Failure], identities: Iterable[tuple[bytes, Mapping[str, Any]]]
) -> list[Note]:
    """One note a row; `identities` are (key, identity) of all rows that may be among them."""
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
    """Leave the notes of a run; a store that cannot be written forgets."""
    with contextlib.suppress(OSError):
        if found or (folder / LAST).exists():
            write_json(folder / LAST, found)


def hand_over(folder: Path, share: Share, found: list[Note]) -> None:
    """Leave the notes of a share for the run that seals."""
    path = folder / HANDED_OVER / f"{share.index}-of-{share.count}.json"
    with contextlib.suppress(OSError):
        if found or path.exists():
            write_json(path, found)


def handed_over(folder: Path) -> dict[bytes, Failure]:
    """What shares handed over, by key."""
    found = [note for path in sorted((folder / HANDED_OVER).glob("*.json")) for note in _read(path)]
    return {bytes.fromhex(note["key"]): Failure(note["status"], note["reason"]) for note in found}


def forget_handed_over(folder: Path) -> None:
    """Let the next run try everything again."""
    for path in (folder / HANDED_OVER).glob("*.json"):
        with contextlib.suppress(OSError):
            path.unlink()


def _read(path: Path) -> list[Note]:
    """The notes of a file that are whole: it has no checksum, and losing one costs an explanation, no result."""
    with contextlib.suppress(OSError, ValueError):
        found = read_json(path)
        return [note for note in found if _is_whole(note)] if isinstance(found, list) else []
    return []


def _is_whole(note: Any) -> bool:
    if not isinstance(note, dict) or not all(
        isinstance(note.get(name), str) for name in ("key", "status", "reason")
    ):
        return False
    return re.fullmatch(rf"[0-9a-f]{{{2 * KEY_BYTES}}}", note["key"]) is not None
