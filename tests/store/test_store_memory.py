"""The store holds a chunk in memory at a time, however much it merges or writes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from c2vl.core import tables
from c2vl.core.tables import schemas
from c2vl.prompts.distinct import Distinct
from c2vl.store import publish, segments, write_table
from c2vl.store import store as stores
from c2vl.store.keys import KEY, content_key
from c2vl.store.plan import known_rows
from c2vl.store.publish import StepCache
from c2vl.store.stage import Failure, Unit
from c2vl.store.store import Store

MEGABYTE = 2**20
ROWS = pa.schema([pa.field("answer", pa.string()), KEY])


def keys(count: int, seed: int = 0) -> list[bytes]:
    return [content_key("f", seed, number) for number in range(count)]


def answers(of: Sequence[bytes], size: int = 64) -> pa.Table:
    texts = [(key.hex() * size)[: size - number % 7] for number, key in enumerate(of)]
    return pa.table([texts, pa.array(of, KEY.type)], schema=ROWS)


@contextlib.contextmanager
def allocated() -> Iterator[list[int]]:
    """What Arrow had allocated at most inside the block, over what it had before."""
    before, watched, most = (
        pa.default_memory_pool(),
        pa.proxy_memory_pool(pa.default_memory_pool()),
        list[int](),
    )
    pa.set_memory_pool(watched)
    try:
        yield most
        most.append(watched.max_memory())
    finally:
        pa.set_memory_pool(before)


def test_merging_takes_the_memory_of_a_chunk_not_of_what_is_merged(tmp_path: Path) -> None:
    store, wanted = Store(tmp_path, "s", "f"), keys(60)
    for at in range(0, 60, 2):
        store.publish(answers(wanted[at : at + 2], MEGABYTE // 2), durable=False)
    with allocated() as most:
        (name,) = store.merge(list(store.segments()))
    assert (store.folder / f"{name}.arrow").stat().st_size > 29 * MEGABYTE
    assert most[0] < 8 * MEGABYTE
    with allocated() as most:
        assert Store(tmp_path, "s", "f").count() == 60
    assert most[0] < 4 * MEGABYTE
    for at in range(58, -1, -2):
        assert store.rows(wanted[at : at + 2])["answer"].equals(
            answers(wanted[at : at + 2], MEGABYTE // 2)["answer"]
        )


@pytest.mark.parametrize("size", [1, 5, 64, 100_000])
def test_rows_are_found_by_position_however_segments_were_cut_and_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(segments, "CHUNK_BYTES", size)
    store, wanted = Store(tmp_path, "s", "f"), keys(50)
    for begin, end in ((0, 1), (1, 18), (10, 30), (30, 33), (33, 50)):  # some keys twice
        store.publish(answers(wanted[begin:end]))
    store.compact()
    assert len(store.segments()) == 5  # a few may stay
    monkeypatch.setattr(stores, "FEW", 4)
    store.compact()
    (name,) = store.segments()
    assert segments.is_intact(store.folder, name)
    held = {
        key: answer
        for piece in [store.rows(wanted)]
        for key, answer in zip(wanted, piece["answer"].to_pylist(), strict=True)
    }
    first = {
        key: text
        for begin, end in ((33, 50), (30, 33), (10, 30), (1, 18), (0, 1))
        for key, text in answered(wanted[begin:end])
    }
    assert held == first
    chunks = [len(chunk) for chunk in segments.read_chunks(store.folder, name)]
    assert sum(chunks) == 50 and set(chunks[:-1]) <= {chunks[0]} and chunks[-1] <= chunks[0]


def answered(of: Sequence[bytes]) -> list[tuple[bytes, str]]:
    return list(zip(of, answers(of)["answer"].to_pylist(), strict=True))


def test_a_segment_has_the_same_name_however_its_rows_lay_in_memory(tmp_path: Path) -> None:
    rows = answers(keys(20))
    scattered = pa.concat_tables([rows.slice(0, 3), rows.slice(3, 9), rows.slice(12)])
    assert segments.write_segment(tmp_path, rows) == segments.write_segment(tmp_path, scattered)


def test_a_segment_that_goes_while_it_is_merged_or_is_damaged_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, wanted = Store(tmp_path, "s", "f"), keys(40)
    names = [store.publish(answers(wanted[at : at + 10])) for at in range(0, 40, 10)]
    harmed = store.folder / f"{names[1]}.arrow"
    harmed.write_bytes(harmed.read_bytes()[:-9] + b"otherwise")
    read = segments.read_chunks

    def removing(folder: Path, name: str) -> Iterator[pa.Table]:
        (folder / f"{names[2]}.arrow").unlink(
            missing_ok=True
        )  # as another process would, having merged it
        return read(folder, name)

    monkeypatch.setattr(segments, "read_chunks", removing)
    (name,) = store.merge(names)
    assert set(segments.read_keys(store.folder, name).tolist()) == {*wanted[:10], *wanted[30:]}
    assert sorted(path.stem for path in store.folder.glob("*.arrow")) == sorted([name, names[1]])


@pytest.mark.parametrize(("count", "many"), [(10, False), (30_000, True)])
def test_a_worker_process_writes_large_batches_itself_and_failures_are_in_their_places(
    tmp_path: Path, count: int, many: bool
) -> None:
    store = Store(tmp_path, "s", "f")
    units = [Unit({}, key, key) for key in keys(count)]

    def prepare(some: Sequence[bytes]) -> list[Any]:
        if len(some) > 1:
            raise ValueError("one of them is bad")
        (key,) = some
        return [Failure("bad", "no") if key == units[3].key else {"answer": key.hex() * 2}]

    with publish.Publisher(store, ROWS.remove(1)) as writer:
        failed, rows = publish.done_in_worker(
            prepare if not many else lambda some: [{"answer": key.hex() * 2} for key in some],
            store.folder,
            writer.schema,
            units,
        )
        if isinstance(rows, segments.Written):
            writer.add_written(rows)
        else:
            writer.add_table(rows)
    assert isinstance(rows, segments.Written) == many
    assert [at for at, failure in enumerate(failed) if failure] == ([] if many else [3])
    good = [unit.key for unit, failure in zip(units, failed, strict=True) if failure is None]
    for reader in (store, Store(tmp_path, "s", "f")):
        assert reader.rows(good)["answer"].to_pylist() == [key.hex() * 2 for key in good]


@pytest.mark.parametrize("schema", [schemas.SKELETON, schemas.CAPTION], ids=["heavy", "light"])
def test_a_shard_written_in_pieces_has_the_bytes_of_one_written_at_once(
    tmp_path: Path, schema: pa.Schema
) -> None:
    group = tables.group_rows(schema)
    random = np.random.default_rng(0)
    rows = [
        {"sample": f"S001C001P001R001A{at:06d}", "reason": "x" * int(random.integers(9))}
        for at in range(2 * group + 77)
    ]
    if schema is schemas.SKELETON:
        rows = [
            row | {"joints": random.normal(size=int(random.integers(1, 400))).astype(np.float32)}
            for row in rows
        ]
    table = tables.table_of(rows, schema)
    for name, cuts in {
        "whole": [0],
        "groups": [0, group, 2 * group],
        "uneven": [0, 2 * group],
    }.items():
        with tables.writing(tmp_path / f"{name}.parquet", schema) as add:
            for begin, end in zip(cuts, [*cuts[1:], len(table)], strict=True):
                add(table.slice(begin, end - begin))
    tables.write(tmp_path / "plain.parquet", table)
    content = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(content) == 4 and len(set(content.values())) == 1
    tables.write(tmp_path / "empty.parquet", table.slice(0, 0))
    assert tables.read(tmp_path / "empty.parquet").num_rows == 0


@pytest.mark.parametrize("bound", [1, 10**4, 10**9])
def test_the_pieces_of_a_shard_are_the_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: int
) -> None:
    monkeypatch.setattr(write_table, "PIECE_BYTES", bound)
    schema = pa.schema(
        [schemas.SAMPLE, pa.field("joints", pa.list_(pa.float32())), *schemas.OUTCOME]
    )
    store, wanted = Store(tmp_path, "s", "f"), keys(1000)
    rows = tables.table_of(
        [{"joints": np.full(3, at, np.float32), "key": key} for at, key in enumerate(wanted)],
        pa.schema([schema.field("joints"), KEY]),
    )
    store.publish(rows.take(np.random.default_rng(0).permutation(1000)))
    units = [Unit({"sample": str(at)}, key) for at, key in enumerate(wanted)]
    ledgers = known_rows(units, schema)
    failures = {wanted[at]: Failure("bad", "no") for at in (0, 255, 256, 999)}
    found = list(write_table.pieces(ledgers, store, failures, schema))
    assert all(len(piece) % 256 == 0 for piece in found[:-1])
    assert len(found) == {1: 4, 10**4: 4, 10**9: 2}[bound]  # the first tells how large rows are
    assert pa.concat_tables(found).equals(
        write_table.finished_rows(ledgers, store, failures, schema)
    )
    assert [
        len(piece) for piece in write_table.pieces(ledgers.slice(0, 0), store, failures, schema)
    ] == [0]


def test_index_rows_by_shard_are_those_of_plain_dictionaries() -> None:
    names = [f"S00{1 + at % 2}C00{1 + at % 3}P{at:03d}R001A001" for at in (5, 3, 8, 1, 9, 2, 0)]
    rows = [
        {"sample": name, "frames": at, "video": None if at % 2 else name.lower()}
        for at, name in enumerate(names)
    ]
    grouped = tables.Grouped(pa.Table.from_pylist(rows))
    expected = tables.by_shard(names)
    assert list(grouped) == list(expected)
    by_name = {row["sample"]: row for row in rows}
    assert {shard: grouped.rows(shard) for shard in grouped} == {
        shard: [by_name[name] for name in members] for shard, members in expected.items()
    }


def test_distinct_sentences_are_counted_as_a_set_counts_them() -> None:
    random = np.random.default_rng(0)
    seen, distinct = set[str](), Distinct()
    assert len(distinct) == 0
    for _ in range(20):
        some = [f"He is {number}." for number in random.integers(0, 3000, 200)]
        seen |= {*some}
        distinct.add(some)
    assert len(distinct) == len(seen)


def test_what_is_remembered_is_told_from_what_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("C2VL_STORE", str(tmp_path))
    fields = pa.schema([pa.field("answer", pa.string())])
    step = StepCache("detect", {"version": 1}, fields)
    wanted = [step.key(number) for number in range(5)]
    step.add(wanted[:3], [{"answer": str(number)} for number in range(3)])
    again = StepCache("detect", {"version": 1}, fields)
    assert again.missing(wanted[::-1]).tolist() == [True, True, False, False, False]
    assert again.missing([]).tolist() == []
    assert Store(tmp_path, "detect", again.fingerprint).count() == 3
