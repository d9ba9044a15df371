"""What a stage would compute, and why, without running it or loading an engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from c2vl.store.failures import Note, handed_over
from c2vl.store.missing import Missing
from c2vl.store.run import Plan, open_store, plan
from c2vl.store.seed import drop_available, failed_before, keys_of, versions_of
from c2vl.store.segments import KEY, as_keys
from c2vl.store.store import Store
from c2vl.store.why import apart, changes, group, last_sealed
from c2vl.store.work import Work

LONG = 60  # characters of a value
MOST_REASONS = 5


@dataclass(frozen=True)
class Outlook:
    """A stage before it runs.

    Attributes:
        rows: rows that are the stage's own to make.
        unusable: of these, those with nothing to compute on, such as samples without a video.
        seeded: those that the store lacks and the out's last version has.
        lacking: those that both lack; equal ones are computed once.
        missing: keys of the latter.
        notes: of what failed before.
        failed: keys of these that are missing.
        given: of these, those that workers failed on since the last sealing, which the next run takes over.
        sealed: whether the out has the results that are there already, and no others.
    """

    work: Work
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
    sealed: bool

    def count(self) -> int:
        """Units to compute."""
        return len(self.missing) - len(self.given)

    def kept(self) -> int:
        """Rows whose results are in the store."""
        return self.rows - self.unusable - self.seeded - self.lacking

    def is_current(self) -> bool:
        """Whether a run would give the same out, unless something succeeds that failed before."""
        return self.sealed and not len(self.missing) - len(self.failed | self.given)

    def reasons(self) -> Iterator[str]:
        """Lines on why they are to be computed."""
        new = self.missing.counts(without=self.failed | self.given)
        if new:
            yield from self._new(new)
        again = self.failed - self.given
        if again:
            told = Counter(
                n["reason"] for n in self.notes if bytes.fromhex(n["key"]) in again
            ).most_common(MOST_REASONS)
            yield f"{len(again):,} failed before: " + ", ".join(
                f"{reason} ({count:,})" for reason, count in told
            )
            if self.is_current():
                yield f"`c2vl failures {self.work.stage} --retry` tries them now; `dvc repro` only does if more changed"

    def _new(self, new: dict[str, int]) -> Iterator[str]:
        last = self.store.folder if self.seeded else last_sealed(self.store.folder.parent)
        count = sum(new.values())
        if last is None:
            yield f"{count:,} because no run of this stage has ended here yet"
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


def outlook(work: Work, out: Path) -> Outlook:
    """Plan `work` on what lies there now.

    Raises:
        UserError: an input is missing, or the engine's checkpoint.
    """
    store, description = open_store(work, verify=False)
    planned = plan(work, store)
    missing, lacked = planned.missing, _lacking(planned)
    sources = versions_of(out) if lacked else []
    drop_available(missing, sources)
    lacking, notes = _lacking(planned), failed_before(store, sources)
    failed = missing.among(bytes.fromhex(note["key"]) for note in notes)
    given = missing.among(handed_over(store.folder))
    sealed, unusable = _is_sealed(planned, out), planned.unusable.total()
    rows = (planned.rows, unusable, lacked - lacking, lacking)
    return Outlook(work, store, description, *rows, missing, notes, failed, given, sealed)


def _lacking(planned: Plan) -> int:
    """Rows whose keys are missing."""
    if not len(planned.missing):
        return 0
    keys = (as_keys(rows.column(KEY.name).drop_null()) for _, rows in planned.ledgers.items())
    return sum(int(np.count_nonzero(planned.missing.has(some))) for some in keys)


def _is_sealed(planned: Plan, out: Path) -> bool:
    """Whether the shards of `out` have the planned rows that are not missing; only keys are read."""
    if {path.stem for path in out.glob("*.parquet")} != {*planned.ledgers}:
        return False
    for shard, rows in planned.ledgers.items():
        keys = as_keys(rows.column(KEY.name).drop_null())
        try:
            there = keys_of(out / f"{shard}.parquet")
        except (OSError, pa.ArrowException, KeyError):
            return False
        if not np.array_equal(there, keys[~planned.missing.has(keys)]):
            return False
    return True
