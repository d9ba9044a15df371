"""Why a stage computes something: new content, or a changed parameter, engine or step."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from c2vl.files import read_json
from c2vl.store.store import DESCRIPTION, Store

MOST_NAMED = 3


def why(store: Store, missing: Mapping[str, int], description: Mapping[str, Any]) -> str:
    """A few words on what is missing and why.

    Args:
        store: of the stage, before it is filled.
        missing: units that each shard lacks.
        description: what the store's fingerprint was made of.
    """
    lacking = {shard: count for shard, count in missing.items() if count}
    if not lacking:
        return "nothing new"
    if store.known():
        setups = sorted({shard[:4] for shard in lacking})
        where = f" (setup {', '.join(setups)})" if len(setups) <= MOST_NAMED else f" ({len(setups)} setups)"
        return f"{sum(lacking.values()):,} new{where}"
    changes = _changes(store, description)
    if changes is None:
        return "first run"
    more = f" and {len(changes) - MOST_NAMED} more" if len(changes) > MOST_NAMED else ""
    return f"changed: {', '.join(changes[:MOST_NAMED])}{more}" if changes else "an earlier store was emptied"


def _changes(store: Store, description: Mapping[str, Any]) -> list[str] | None:
    """What differs from the fingerprint used last, or None if there is no other."""
    others = [path for path in store.folder.parent.glob(f"*/{DESCRIPTION}") if path.parent != store.folder]
    for path in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True):
        with contextlib.suppress(OSError, ValueError):
            before, now = _flat(read_json(path)), _flat(description)
            names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
            return [f"{name} {_short(before.get(name))} → {_short(now.get(name))}" for name in names]
    return None


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:20]}…"
