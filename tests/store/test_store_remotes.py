"""Outputs: readable without us, uploaded only where they are new, of use on the next machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from standin_stage import sample
from tiny_project import TinyProject

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.tables import schemas
from c2vl.store.write_table import KEY_COLUMN

WIDTH = 8
OUTS = {
    "skeleton": schemas.SKELETON,
    "crop": schemas.CROP,
    "caption": schemas.CAPTION,
    "embed": schemas.feature(WIDTH),
}


def value(field: pa.Field, row: int) -> Any:
    """Something of the field's type, different in each row."""
    kind = field.type
    if pa.types.is_string(kind):
        return f"{field.name} {row} · ü"
    if pa.types.is_fixed_size_binary(kind):
        return bytes([row]) * 16
    if pa.types.is_binary(kind):
        return b"\xff\xd8" + bytes([row, 0, 255])
    if pa.types.is_boolean(kind):
        return row % 2 == 0
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        numbers = np.arange(WIDTH) * (row + 1)
        return numbers.astype(kind.value_type.to_pandas_dtype())
    return row + 0.5 if pa.types.is_floating(kind) else row


@pytest.fixture(params=OUTS)
def shard(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[Path, pa.Schema, list[dict[str, Any]]]:
    """A shard as the stage of that name writes it, and its rows: the last failed and has nulls."""
    schema = OUTS[request.param].append(KEY_COLUMN)
    rows = [{field.name: value(field, row) for field in schema} for row in range(5)]
    rows.append({"sample": "the last", "status": "empty", "reason": "nothing"})
    path = tmp_path / "S001C001.parquet"
    tables.write(path, tables.table_of(rows, schema))
    return path, schema, rows


def same(found: Any, truth: Any) -> bool:
    if truth is None:
        return found is None or (np.ndim(found) == 0 and bool(pandas.isna(found)))
    if isinstance(truth, np.ndarray):
        return np.array_equal(np.asarray(found, np.float64), truth.astype(np.float64))
    return bool(found == truth)


@pytest.mark.parametrize("reader", ["pyarrow", "pandas", "duckdb"])
def test_a_shard_is_read_by_tools_that_know_nothing_of_us(
    shard: tuple[Path, pa.Schema, list[dict[str, Any]]], reader: str
) -> None:
    path, schema, rows = shard
    if reader == "pyarrow":
        found = pq.read_table(path).to_pylist()
    elif reader == "pandas":
        found = pandas.read_parquet(path).to_dict("records")
    else:
        answer = duckdb.sql(f"SELECT * FROM '{path}'")
        found = [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]
    assert len(found) == len(rows)
    for got, truth in zip(found, rows, strict=True):
        assert list(got) == schema.names
        for name in schema.names:
            assert same(got[name], truth.get(name)), name


def test_a_shard_says_what_its_columns_are_and_in_which_units(
    shard: tuple[Path, pa.Schema, list[dict[str, Any]]],
) -> None:
    path, schema, _ = shard
    fields = {field.name: field.metadata or {} for field in pq.read_schema(path)}
    assert all(fields[name].get(b"description") for name in schema.names)
    units = {
        "joints": b"metres",
        "colour": b"pixels of the 1920x1080 frame",
        "boxes": b"video pixels",
        "frames": b"frames",
    }
    for name in units.keys() & fields.keys():
        assert fields[name][b"unit"] == units[name]
    assert [field.type for field in pq.read_schema(path)] == [field.type for field in schema]


def files_in(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_new_setup_leaves_other_shards_alone_and_only_what_is_new_is_uploaded(
    tmp_path: Path,
) -> None:
    project = TinyProject(tmp_path / "project")
    project.add_remote(url=str(tmp_path / "remote"))
    project.works("dvc", "repro")
    project.works("dvc", "push")
    old, uploaded = project.shards(), files_in(tmp_path / "remote")
    assert len(uploaded) == 4  # two shards, metrics.json, the list of them

    project.set_world(setups=3)
    project.works("dvc", "repro")
    project.works("dvc", "push")
    new = project.shards()
    assert {name for name in new if new[name] != old.get(name)} == {
        "S003C001.parquet",
        "metrics.json",
    }
    fresh = files_in(tmp_path / "remote") - uploaded
    assert len(fresh) == 3
    assert sorted(new[name] for name in ("S003C001.parquet", "metrics.json")) == sorted(
        (tmp_path / "remote" / path).read_bytes() for path in fresh if path.suffix != ".dir"
    )


@pytest.fixture
def directory_remote(tmp_path: Path) -> dict[str, str]:
    return {"url": str(tmp_path / "remote")}


@pytest.fixture
def s3_remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A bucket on an S3 server in this process."""
    import boto3
    from moto.server import ThreadedMotoServer

    for name, text in {
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    try:
        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="lab")
        yield {"url": "s3://lab/prompts", "endpointurl": endpoint}
    finally:
        server.stop()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["directory", "s3"])
def test_on_a_second_machine_only_new_samples_are_computed(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    remote = request.getfixturevalue(
        f"{kind}_remote"
    )  # sets credentials, which the project's environment takes over
    project = TinyProject(tmp_path / "lab")
    project.add_remote(**remote)
    project.works("dvc", "repro")
    project.works("dvc", "push")
    lab = project.shards()

    other = project.clone(tmp_path / "other")
    other.works("dvc", "pull")
    assert other.shards() == lab
    assert other.segments() == 0
    assert not other.ran(other.works("dvc", "repro"))

    other.set_world(setups=3)
    assert other.ran(other.works("dvc", "repro"))
    record = other.record()
    assert (
        record["computed"] == 23
    )  # 12 samples with two prompts of their own, one of them missing; the third they share
    assert record["reused"] == 70 + 12
    both = other.shards()
    assert {name: both[name] for name in lab if name != "metrics.json"} == {
        name: lab[name] for name in lab if name != "metrics.json"
    }


@pytest.mark.slow
def test_rows_of_other_content_other_parameters_or_damaged_files_are_not_taken_over(
    tmp_path: Path,
) -> None:
    project = TinyProject(tmp_path / "lab")
    project.environment["STANDIN_ALONE"] = "1"
    project.works("dvc", "repro")
    lab = project.shards()

    other = project.copy_without_store(tmp_path / "content")
    other.set_world(**{sample(1, 1): "another picture"})
    other.works("dvc", "repro")
    assert other.record()["computed"] == 1
    before, after = (
        pq.read_table(pa.BufferReader(out["S001C001.parquet"])).to_pylist()
        for out in (lab, other.shards())
    )
    assert [
        row for row, (old, new) in enumerate(zip(before, after, strict=True)) if old != new
    ] == [0]

    other = project.copy_without_store(tmp_path / "parameters")
    other.works("dvc", "repro", "-f", STANDIN_QUESTION="why?")
    assert (other.record()["computed"], other.record()["reused"]) == (
        51,
        19,
    )  # all; equal prompts are asked once

    other = project.copy_without_store(tmp_path / "damage")
    cache = other.folder / ".dvc/cache/files/md5"
    (held,) = (
        path
        for path in cache.rglob("*")
        if path.is_file() and path.read_bytes() == lab["S001C001.parquet"]
    )
    held.chmod(0o644)
    whole = lab["S001C001.parquet"]
    held.write_bytes(whole[:300] + bytes([whole[300] ^ 1]) + whole[301:])
    other.works("dvc", "repro", "-f")
    assert other.record()["computed"] > 20
    assert other.shards() == lab


def test_a_flipped_bit_among_the_rows_of_an_out_is_noticed(
    shard: tuple[Path, pa.Schema, list[dict[str, Any]]],
) -> None:
    path = shard[0]
    whole = path.read_bytes()
    group = pq.read_metadata(path).row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    end = max(
        (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size
        for column in columns
    )
    truth = repr(tables.read(path).to_pylist())
    for at in np.random.default_rng(0).integers(4, end - 4, 150).tolist():
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with contextlib.suppress(UserError):
            assert repr(tables.read(path).to_pylist()) == truth, at
