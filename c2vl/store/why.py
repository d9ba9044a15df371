"""Why a stage computes something: new content, an earlier failure, or a changed parameter, engine or step."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from c2vl.core.files import read_json
from c2vl.store.failures import Note
from c2vl.store.missing import Missing
from c2vl.store.store import DESCRIPTION, SEALED, Store

MOST_NAMED = 3
KINDS = {"S": "setup", "N": "performer", "F": "video"}  # NTU RGB+D; PKU-MMD II; PKU-MMD I, by tens
SHORT = 24  # characters of a value


def why(
    store: Store, missing: Missing, description: Mapping[str, Any], failed: Iterable[Note]
) -> str:
    """A few words on what is missing and why.

    Args:
        store: of the stage, before it is filled.
        missing: keys that it lacks.
        description: what the store's fingerprint was made of.
        failed: notes of the last run.
    """
    again = missing.among(bytes.fromhex(note["key"]) for note in failed)
    new = missing.counts(without=again)
    said = [f"{len(again):,} failed before"] if again else []
    if new:
        said.insert(0, _new(store, new, description))
    return ", ".join(said) or "nothing new"


def _new(store: Store, new: Mapping[str, int], description: Mapping[str, Any]) -> str:
    last = last_sealed(store.folder.parent)
    if last is None:
        return "first run"
    if last != store.folder:
        told = [
            f"{name} {' → '.join(apart(before, now))}"
            for name, before, now in changes(last, description)
        ]
        more = f" and {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else ""
        return f"changed: {', '.join(told[:MOST_NAMED])}{more}"
    groups = sorted({group(shard) for shard in new})
    kind = KINDS.get(groups[0][0], "group")
    where = f"{kind} {', '.join(groups)}" if len(groups) <= MOST_NAMED else f"{len(groups)} {kind}s"
    return f"{sum(new.values()):,} new ({where})"


def group(shard: str) -> str:
    """What a shard has in common with those of the other cameras: the setup S001 of S001C002."""
    return re.sub(r"[CV]\d+$", "", shard)


def last_sealed(stage: Path) -> Path | None:
    """The folder of the fingerprint under which the out of a stage (its folder in the store) was sealed last."""
    found: list[tuple[int, Path]] = []
    for path in stage.glob(f"*/{SEALED}"):
        with contextlib.suppress(OSError):
            found.append((path.stat().st_mtime_ns, path.parent))
    return max(found)[1] if found else None


def changes(folder: Path, description: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(dotted name, before, now) of all that differs between the fingerprint of `folder` and `description`."""
    before, now = _flat(description_of(folder)), _flat(description)
    return [
        (name, before.get(name), now.get(name))
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]


def description_of(folder: Path) -> dict[str, Any]:
    """What the fingerprint of `folder` was made of; empty where that cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        found = read_json(folder / DESCRIPTION)
        return found if isinstance(found, dict) else {}
    return {}


def apart(before: Any, now: Any, most: int = SHORT) -> tuple[str, str]:
    """Both values, each in at most `most` characters: from a little before where they differ, if their beginnings look alike.

    Examples:
        >>> apart("Is he or she standing or sitting?", "Is he or she standing or walking?")
        ('…standing or sitting?', '…standing or walking?')
    """
    texts = [" ".join(str(value).split()) for value in (before, now)]
    if _shortened(texts[0], most) == _shortened(texts[1], most):
        alike = next(
            (i for i, (one, other) in enumerate(zip(*texts, strict=False)) if one != other),
            min(map(len, texts)),
        )
        texts = [f"…{text[max(alike - most // 2, 0) :]}" for text in texts]
    return _shortened(texts[0], most), _shortened(texts[1], most)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 4]}…"


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= (
            _flat(value, f"{prefix}{name}.")
            if isinstance(value, Mapping)
            else {f"{prefix}{name}": value}
        )
    return flat
