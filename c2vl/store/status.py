"""What a stage would compute, and why: new content, earlier failures, or something that changed.

Nothing here runs a stage, loads an engine or changes a file.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from c2vl.core.files import read_json
from c2vl.store.failures import Note, passed_on
from c2vl.store.keys import KEY, as_keys
from c2vl.store.missing import Missing
from c2vl.store.plan import Plan, open_store, plan
from c2vl.store.seed import drop_available, failed_before, keys_of, versions_of
from c2vl.store.stage import Stage
from c2vl.store.store import DESCRIPTION, WRITTEN, Store

MOST_NAMED = 3
MOST_REASONS = 5
KINDS = {"S": "setup", "N": "performer", "F": "video"}  # NTU RGB+D; PKU-MMD II; PKU-MMD I, by tens
SHORT, LONG = 24, 60  # characters shown of a value


def why(
    store: Store, missing: Missing, description: Mapping[str, Any], failed: Iterable[Note]
) -> str:
    """Say in a few words what is missing and why.

    Args:
        store: the stage's store, before it is filled.
        missing: keys that the store lacks.
        description: what the store's fingerprint is made of.
        failed: notes of the last run.
    """
    again = missing.among(bytes.fromhex(note["key"]) for note in failed)
    new = missing.counts(without=again)
    parts = [_new(store, new, description)] if new else []
    parts += [f"{len(again):,} failed before"] if again else []
    return ", ".join(parts) or "nothing new"


def _new(store: Store, new: Mapping[str, int], description: Mapping[str, Any]) -> str:
    last = last_written(store.folder.parent)
    if last is None:
        return "first run"
    if last != store.folder:
        changed = [
            f"{name} {' → '.join(apart(before, now))}"
            for name, before, now in changes(last, description)
        ]
        more = f" and {len(changed) - MOST_NAMED} more" if len(changed) > MOST_NAMED else ""
        return f"changed: {', '.join(changed[:MOST_NAMED])}{more}"
    groups = sorted({group(shard) for shard in new})
    kind = KINDS.get(groups[0][0], "group")
    where = f"{kind} {', '.join(groups)}" if len(groups) <= MOST_NAMED else f"{len(groups)} {kind}s"
    return f"{sum(new.values()):,} new ({where})"


def group(shard: str) -> str:
    """Return the part of a shard's name that all cameras share: setup S001 of S001C002."""
    return re.sub(r"[CV]\d+$", "", shard)


def last_written(stage: Path) -> Path | None:
    """Return the fingerprint's folder below `stage` from which the table was last written."""
    found: list[tuple[int, Path]] = []
    for path in stage.glob(f"*/{WRITTEN}"):
        with contextlib.suppress(OSError):
            found.append((path.stat().st_mtime_ns, path.parent))
    return max(found)[1] if found else None


def changes(folder: Path, description: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return (dotted name, before, now) of all that differs from a folder's description."""
    before, now = _flat(description_of(folder)), _flat(description)
    return [
        (name, before.get(name), now.get(name))
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]


def description_of(folder: Path) -> dict[str, Any]:
    """Return what the fingerprint of `folder` was made of; empty if that cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        found = read_json(folder / DESCRIPTION)
        return found if isinstance(found, dict) else {}
    return {}


def apart(before: Any, now: Any, most: int = SHORT) -> tuple[str, str]:
    """Shorten both values to `most` characters; if they begin alike, start where they differ.

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


@dataclass(frozen=True)
class Status:
    """A stage before it runs.

    Attributes:
        rows: number of rows of this stage, without rows that failed in an earlier stage.
        unusable: how many of them have no input, for example samples without a video.
        seeded: how many the store lacks and the output's last version has.
        lacking: how many both lack; equal ones are computed once.
        missing: keys of these.
        notes: notes of what failed before.
        failed: missing keys that failed before.
        given: missing keys that failed in `--fill`; the next run copies these failures.
        written: true if the output has exactly the results that are stored.
    """

    stage: Stage
    store: Store
    description: dict[str, Any]
    rows: int
    unusable: int
    seeded: int
    lacking: int
    missing: Missing
    notes: list[Note]
    failed: set[bytes]
    given: set[bytes]
    written: bool

    def count(self) -> int:
        """Return the number of units to compute."""
        return len(self.missing) - len(self.given)

    def kept(self) -> int:
        """Return the number of rows whose results are in the store."""
        return self.rows - self.unusable - self.seeded - self.lacking

    def is_current(self) -> bool:
        """True if a run would give the same output, unless a failed unit succeeds now."""
        return self.written and not len(self.missing) - len(self.failed | self.given)

    def reasons(self) -> Iterator[str]:
        """Yield lines that say why units will be computed."""
        new = self.missing.counts(without=self.failed | self.given)
        if new:
            yield from self._new(new)
        again = self.failed - self.given
        if again:
            reasons = Counter(n["reason"] for n in self.notes if bytes.fromhex(n["key"]) in again)
            most = reasons.most_common(MOST_REASONS)
            counted = ", ".join(f"{reason} ({count:,})" for reason, count in most)
            yield f"{len(again):,} failed before: {counted}"
            if self.is_current():
                yield (
                    f"`c2vl failures {self.stage.name} --retry` tries them now; `dvc repro` "
                    "does only if something else changed"
                )

    def _new(self, new: dict[str, int]) -> Iterator[str]:
        last = self.store.folder if self.seeded else last_written(self.store.folder.parent)
        count = sum(new.values())
        if last is None:
            yield f"{count:,} because no run of this stage has finished here yet"
        elif last != self.store.folder:
            yield f"{count:,} because of what changed since the last run:"
            for name, before, now in changes(last, self.description):
                yield f"    {name}: {' → '.join(apart(before, now, LONG))}"
        else:
            groups: Counter[str] = Counter()
            for shard, number in new.items():
                groups[group(shard)] += number
            where = ", ".join(f"{name}: {number:,}" for name, number in sorted(groups.items()))
            yield f"{count:,} because their content is new ({where})"


def status_of(stage: Stage, output: Path) -> Status:
    """Plan `stage` on the present data, and compare with its output.

    Raises:
        UserError: an input or the engine's checkpoint is missing.
    """
    store, description = open_store(stage, verify=False, look=True)
    planned = plan(stage, store)
    missing, lacked = planned.missing, _lacking(planned)
    sources = versions_of(output) if lacked else []
    drop_available(missing, sources)
    lacking, notes = _lacking(planned), failed_before(store, sources)
    failed = missing.among(bytes.fromhex(note["key"]) for note in notes)
    given = missing.among(passed_on(store.folder))
    written, unusable = _is_written(planned, output), planned.unusable.total()
    rows = (planned.rows, unusable, lacked - lacking, lacking)
    return Status(stage, store, description, *rows, missing, notes, failed, given, written)


def _lacking(planned: Plan) -> int:
    """Return the number of rows whose keys are missing."""
    if not len(planned.missing):
        return 0
    keys = (as_keys(rows.column(KEY.name).drop_null()) for _, rows in planned.known.items())
    return sum(int(np.count_nonzero(planned.missing.has(some))) for some in keys)


def _is_written(planned: Plan, output: Path) -> bool:
    """True if the shards have all planned rows that are not missing. Reads only keys."""
    if {path.stem for path in output.glob("*.parquet")} != {*planned.known}:
        return False
    for shard, rows in planned.known.items():
        keys = as_keys(rows.column(KEY.name).drop_null())
        try:
            there = keys_of(output / f"{shard}.parquet")
        except (OSError, pa.ArrowException, KeyError):
            return False
        if not np.array_equal(there, keys[~planned.missing.has(keys)]):
            return False
    return True
