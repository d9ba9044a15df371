"""The store of trainings, as `c2vl store` shows, verifies and cleans it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from c2vl.core.files import read_json
from c2vl.store.trained import Entry, TrainedStore

RESULTS = Path("results")


def keys_in_outputs(results: Path = RESULTS) -> set[str]:
    """Return the keys that the present outputs name: these entries are in use."""
    found: set[str] = set()
    for path in results.rglob("trained.json"):
        try:
            record = read_json(path)
            found |= {str(run["key"]) for run in record.get("runs", [record])}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # damaged, or of another version of c2vl
    return found


def shown(store: TrainedStore) -> Iterator[tuple[str, int]]:
    """Yield a line for each training, with `*` if an output has it, and its bytes."""
    used = keys_in_outputs()
    for entry in store.entries():
        mark = "*" if entry.key in used else " "
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        yield f"{mark} {entry.name:44} {entry.key:34} used {when}", entry.size
    for path in store.left_over():
        yield f"  {path.name}: damaged or half-written, set aside", size_of(path)


def superfluous(store: TrainedStore) -> list[tuple[Path, str, int]]:
    """Return what `c2vl store clean` removes: folder, what it is, bytes.

    It removes entries that no output names if a newer one of the same training was used, and what
    was set aside.
    """
    entries: list[Entry] = store.superfluous(keys_in_outputs())
    found = [
        (entry.folder, f"{entry.name}, in no output; a newer one exists", entry.size)
        for entry in entries
    ]
    return found + [(path, "set aside", size_of(path)) for path in store.left_over()]


def size_of(folder: Path) -> int:
    """Return the bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
