"""A plan is small and exact: missing keys as plain sets give them, what is known of rows packed."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standin_stage import Stage, sample, world

from c2vl.core.errors import UserError
from c2vl.core.tables.schemas import CAPTION
from c2vl.store import plan, run
from c2vl.store.keys import content_key
from c2vl.store.missing import Missing
from c2vl.store.plan import KnownRows, known_rows
from c2vl.store.stage import Failure, Unit
from c2vl.store.store import Store

KEYS = [bytes([number]) + b"\0" * 15 for number in range(4)] + [
    b"\0" * 15 + bytes([number]) for number in range(1, 5)
]
SHARDS = st.lists(st.lists(st.sampled_from(KEYS), max_size=8), min_size=1, max_size=5)


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("C2VL_STORE", raising=False)


@given(
    shards=SHARDS,
    others=st.sets(st.sampled_from(KEYS)),
    asked=st.lists(st.sampled_from(KEYS)),
    gone=st.sets(st.sampled_from(KEYS)),
)
def test_missing_keys_are_those_of_plain_sets(
    shards: list[list[bytes]], others: set[bytes], asked: list[bytes], gone: set[bytes]
) -> None:
    """`others` is another process's share; keys that end or begin in zero bytes are whole."""
    names = [f"S{number:03d}C001" for number in range(len(shards))]
    expected: dict[str, set[bytes]] = {}
    seen: set[bytes] = set()
    for name, wanted in zip(names, shards, strict=True):
        expected[name] = set(wanted) - seen - others
        seen |= set(wanted)
    own = [np.array([key not in others for key in wanted], bool) for wanted in shards]
    missing = Missing(names, [np.array(wanted, "S16") for wanted in shards], own)
    for dropped in (set[bytes](), gone):
        lacking = set().union(*expected.values())
        assert missing.drop(sorted(dropped)) == len(lacking & dropped)
        expected = {name: keys - dropped for name, keys in expected.items()}
        lacking -= dropped
        assert len(missing) == len(lacking)
        assert missing.among(asked) == lacking & set(asked)
        assert missing.has(asked).tolist() == [key in lacking for key in asked]
        assert missing.has(asked, names[-1]).tolist() == [
            key in expected[names[-1]] for key in asked
        ]
        assert missing.counts(without=asked) == {
            n: len(keys - set(asked)) for n, keys in expected.items() if keys - set(asked)
        }


def test_ledgers_come_back_as_they_were_whatever_is_in_them() -> None:
    kept = KnownRows()
    some = [
        Unit({"sample": sample(1, 1), "k": 0}, b"k" * 16),
        Unit({"sample": sample(1, 1), "k": 1}, None, failure=Failure("x", "y")),
    ]
    expected: dict[str, pa.Table] = {
        name: known_rows(units, CAPTION)
        for name, units in (("B", some), ("A", []), ("C", some[1:]))
    }
    for name, rows in expected.items():
        kept.add(name, rows)
    assert list(kept) == ["B", "A", "C"]
    assert all(kept[name].equals(rows) for name, rows in expected.items())


class Many(Stage):
    """96 shards of `samples` samples in all, 16 units each."""

    def __init__(self, samples: int) -> None:
        super().__init__({})
        self.samples = samples

    def shards(self) -> list[str]:
        return [f"S{number // 3 + 1:03d}C{number % 3 + 1:03d}" for number in range(96)]

    def units(self, shard: str, fingerprint: str) -> list[Unit]:
        names = [f"{shard}P{number:03d}R001A001" for number in range(self.samples // 96)]
        return [
            Unit({"sample": name, "k": k}, content_key(fingerprint, name, k))
            for name in names
            for k in range(16)
        ]


def test_a_plan_keeps_few_bytes_a_unit_even_if_all_are_missing(tmp_path: Path) -> None:
    """Keys and packed rows make about 42; Python objects, kept of few units only, are hundreds."""
    store = Store(tmp_path, "caption", "f")
    plan.plan(Many(96), store)  # what is imported and cached once
    held = []
    for samples in (96 * 2, 96 * 12):
        tracemalloc.start()
        planned = plan.plan(Many(samples), store)
        held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        assert len(planned.missing) == planned.rows == 16 * samples
    assert (held[1] - held[0]) / (16 * 96 * 10) < 50


@pytest.mark.parametrize(
    "kept", [True, False], ids=["what was planned is kept", "all is read again"]
)
def test_inputs_that_change_under_a_run_cannot_spoil_the_output_and_the_next_run_takes_them_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    class Changing(Stage):
        def compute(self, units: Sequence[Unit], ready: Sequence[Any]) -> Any:
            self.contents[sample(2, 1)][0] = b"another picture"
            return super().compute(units, ready)

    monkeypatch.setattr(plan, "MOST_KEPT", plan.MOST_KEPT if kept else 0)
    with (
        contextlib.nullcontext()
        if kept
        else pytest.raises(UserError, match=r"results vanished .* run again")
    ):
        run.run(Changing(world(), size=4, company=False), tmp_path / "out", {})
    if kept:
        notes: dict[str, Any] = {}
        run.run(Stage(world(), size=4, company=False), tmp_path / "out", notes)
        assert notes["computed"] == 0
    now = world()
    now[sample(2, 1)][0] = b"another picture"
    again = Stage(now, size=4, company=False)
    run.run(again, tmp_path / "out", {})
    assert b"another picture" in again.asked
