"""Why a stage computes something: new content, an earlier failure, or a changed parameter, engine or step."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Set
from typing import Any

from c2vl.files import read_json
from c2vl.store.failures import failed_last_time
from c2vl.store.store import DESCRIPTION, Store

MOST_NAMED = 3


def why(store: Store, missing: Mapping[str, Set[bytes]], description: Mapping[str, Any]) -> str:
    """A few words on what is missing and why.

    Args:
        store: of the stage, before it is filled.
        missing: keys that each shard lacks.
        description: what the store's fingerprint was made of.
    """
    failed = {bytes.fromhex(note["key"]) for note in failed_last_time(store.folder)}
    new = {shard: len(keys - failed) for shard, keys in missing.items() if keys - failed}
    again = sum(len(keys & failed) for keys in missing.values())
    said = [f"{again:,} failed before"] if again else []
    if new and (store.known() or failed):
        setups = sorted({shard[:4] for shard in new})
        where = f" (setup {', '.join(setups)})" if len(setups) <= MOST_NAMED else f" ({len(setups)} setups)"
        said.insert(0, f"{sum(new.values()):,} new{where}")
    elif new:
        said.insert(0, _changed(store, description))
    return ", ".join(said) or "nothing new"


def _changed(store: Store, description: Mapping[str, Any]) -> str:
    """What differs from the fingerprint used last."""
    others = [path for path in store.folder.parent.glob(f"*/{DESCRIPTION}") if path.parent != store.folder]
    for path in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True):
        with contextlib.suppress(OSError, ValueError):
            before, now = _flat(read_json(path)), _flat(description)
            names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
            told = [f"{name} {_short(before.get(name))} → {_short(now.get(name))}" for name in names]
            more = f" and {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else ""
            return f"changed: {', '.join(told[:MOST_NAMED])}{more}"
    return "first run"


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:20]}…"
