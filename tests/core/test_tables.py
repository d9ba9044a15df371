"""Tables: equal content gives equal bytes, reading returns what was written, errors are clear."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.tables import schemas


def skeleton_rows(count: int) -> list[dict[str, object]]:
    random = np.random.default_rng(0)
    rows: list[dict[str, object]] = []
    for number in range(count):
        if number % 5 == 4:
            rows.append(
                {"sample": f"S001C001P{number:03d}R001A001", "status": "failed", "reason": "empty"}
            )
            continue
        joints = random.normal(size=(number + 1, 2, 25, 3)).astype(np.float32)
        rows.append(
            {
                "sample": f"S001C001P{number:03d}R001A001",
                "frames": number + 1,
                "joints": joints,
                "status": "ok",
                "reason": "",
            }
        )
    return rows


def test_equal_content_gives_equal_bytes_however_it_is_chunked(tmp_path: Path) -> None:
    whole = tables.table_of(skeleton_rows(12), schemas.SKELETON)
    pieces = pa.concat_tables([whole.slice(0, 5), whole.slice(5)]).replace_schema_metadata(
        {"pandas": "{}"}
    )
    tables.write(tmp_path / "a.parquet", whole)
    tables.write(tmp_path / "b" / "c.parquet", pieces)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b" / "c.parquet").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] in (["a.parquet", "b"], ["b", "a.parquet"])


def test_round_trip_keeps_rows_nulls_and_field_metadata(tmp_path: Path) -> None:
    rows = skeleton_rows(12)
    tables.write(tmp_path / "a.parquet", tables.table_of(rows, schemas.SKELETON))
    table = tables.read(tmp_path / "a.parquet")
    assert table.schema.equals(schemas.SKELETON, check_metadata=True)
    for row, back in zip(rows, tables.rows_of(table), strict=True):
        assert back["sample"] == row["sample"] and back["frames"] == row.get("frames")
        if "joints" in row:
            np.testing.assert_array_equal(back["joints"].reshape(-1, 2, 25, 3), row["joints"])
        else:
            assert back["joints"] is None


def test_features_are_half_floats_with_nulls(tmp_path: Path) -> None:
    feature = np.arange(4, dtype=np.float16)
    rows = [{"sample": "x", "k": 0, "feature": feature}, {"sample": "x", "k": 1, "feature": None}]
    tables.write(tmp_path / "f.parquet", tables.table_of(rows, schemas.feature(4)))
    back = tables.rows_of(tables.read(tmp_path / "f.parquet"))
    assert back[1]["feature"] is None
    np.testing.assert_array_equal(back[0]["feature"], feature)
    assert back[0]["feature"].dtype == np.float16


def test_a_row_outside_the_schema_is_refused() -> None:
    with pytest.raises(ValueError, match="colour_joints"):
        tables.table_of([{"sample": "x", "colour_joints": 1}], schemas.SKELETON)
    with pytest.raises(ValueError, match="float64"):
        tables.table_of([{"sample": "x", "joints": np.zeros(3)}], schemas.SKELETON)


def test_a_folder_reads_as_its_shards_in_order(tmp_path: Path) -> None:
    for name, value in (("S002C001", 2), ("S001C003", 1)):
        tables.write(tmp_path / f"{name}.parquet", pa.table({"v": [value], "w": ["x"]}))
    assert tables.read(tmp_path)["v"].to_pylist() == [1, 2]
    assert [name for name, _ in tables.shards(tmp_path, ["v"])] == ["S001C003", "S002C001"]
    assert tables.read(tmp_path, columns=["v"]).column_names == ["v"]
    with pytest.raises(UserError, match="no column `u`"):
        tables.read(tmp_path, columns=["u"])


def test_missing_and_broken_tables_raise_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no table"):
        tables.read(tmp_path)
    with pytest.raises(UserError, match="holds no table"):
        tables.read(tmp_path / "nowhere")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(UserError, match=r"bad.parquet is not a readable Parquet file"):
        tables.read(tmp_path)


def test_only_sample_ids_have_a_shard() -> None:
    assert tables.shard_of("S017C003P020R002A060") == "S017C003"
    for name in (
        "../../etc/passwd",
        "S001C001P001R001A001/..",
        "-rf",
        "a b",
        "$(x)",
        "é",
        "x" * 121,
        "S001C001P001R001A001\n",
        "",
    ):
        with pytest.raises(ValueError, match="not a sample id"):
            tables.shard_of(name)
    assert tables.by_shard(
        ["S002C001P001R001A001", "S001C002P001R001A002", "S001C002P001R001A001"]
    ) == {
        "S001C002": ["S001C002P001R001A001", "S001C002P001R001A002"],
        "S002C001": ["S002C001P001R001A001"],
    }


def test_columns_of_vectors_are_arrays_and_back() -> None:
    values = np.arange(12, dtype=np.float16).reshape(4, 3)
    column = tables.vector_column(values)
    assert column.type == pa.list_(pa.field("element", pa.float16()), 3)
    chunks = pa.chunked_array([column, column[:0], column[:1]])
    found = tables.vectors(chunks)
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, np.concatenate([values, values[:1]]))
    assert tables.vectors(chunks.slice(0, 0)).shape == (0, 3)
    lists = pa.chunked_array([pa.array([[1.0], None, [2.0, 3.0]], pa.list_(pa.float32()))])
    np.testing.assert_array_equal(tables.numbers(lists), np.array([1, 2, 3], np.float32))
