"""The stages `embed` and `class_names` with SigLIP 2 and with a video encoder, X-CLIP."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from c2vl.core import tables
from c2vl.prompts.engines import Encoder, EncoderParams
from c2vl.prompts.jpeg import from_jpeg, to_jpeg

pytest.importorskip("torch")

from small_encoders import build_encoder

ROOT = Path(__file__).resolve().parents[2]
SHARD, K = "S001C001", 5
SAMPLES = [f"{SHARD}P{person:03d}R001A001" for person in (1, 2, 3)]
CLASSES = ["drink", "sit down"]
FAILED = {(SAMPLES[1], 2), *((SAMPLES[2], k) for k in range(K))}  # rows without a crop


@pytest.fixture(params=["Siglip2", "XCLIP"])
def project(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A project with crops and answers of three clips; one lacks a crop, one all of them."""
    build_encoder(request.param, tmp_path / "encoder")
    rng = np.random.default_rng(0)
    crops, answers = [], []
    for sample in SAMPLES:
        for k in range(K):
            row: dict[str, Any] = {"sample": sample, "k": k, "status": "ok", "reason": ""}
            jpeg = to_jpeg(rng.integers(0, 256, (40, 30, 3), dtype=np.uint8), 95)
            bad = {"status": "nobody", "reason": "nobody was found"}
            crops.append({**row, **(bad if (sample, k) in FAILED else {"crop": jpeg})})
            answers.append({**row, "answer": f"standing {'abcde'[k]}"})
    for name, rows in {"crop": crops, "caption": answers}.items():
        table = tables.table_of(rows, getattr(tables.schemas, name.upper()))
        tables.write(tmp_path / "data" / name / f"{SHARD}.parquet", table)
    (tmp_path / "data/index").mkdir()
    (tmp_path / "data/index/classes.json").write_text(json.dumps(CLASSES))
    params = yaml.safe_load((ROOT / "profiles/demo.yaml").read_text(encoding="utf-8"))
    params["embed"]["encoder"]["model"] = "encoder"
    params["embed"]["max_failed"] = 1.0
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    for variable in ("C2VL_STORE", "C2VL_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("C2VL_DEVICE", "cpu")
    monkeypatch.setenv("C2VL_PREPARE", "threads")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, stage: str, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [f"{stage}.py", *arguments])
    runpy.run_path(str(ROOT / "stages" / f"{stage}.py"), run_name="__main__")


def table_of(knowledge: str) -> dict[tuple[str, int], dict[str, Any]]:
    rows = tables.rows_of(tables.read(Path("data/embed") / knowledge / f"{SHARD}.parquet"))
    return {(row["sample"], row["k"]): row for row in rows}


def test_crops_answers_and_class_names_get_features_of_the_encoder_in_use(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, "embed", "vision")
    run(monkeypatch, "embed", "language")
    run(monkeypatch, "class_names")
    encoder = Encoder.load(EncoderParams(model="encoder"), "cpu")
    crops = tables.rows_of(tables.read(Path("data/crop") / f"{SHARD}.parquet"))
    usable = {(row["sample"], row["k"]): row["crop"] for row in crops if row["crop"]}
    vision = table_of("vision")
    assert {at for at, row in vision.items() if row["status"] != "ok"} == FAILED
    assert {row["status"] for at, row in vision.items() if at in FAILED} == {"no_crop"}
    for at, jpeg in usable.items():
        if encoder.frames:  # one feature a clip, from all of its usable crops
            clip = [from_jpeg(crop) for other, crop in usable.items() if other[0] == at[0]]
            expected = encoder.encode_images(encoder.prepare_clips([clip]))[0]
        else:
            expected = encoder.images([from_jpeg(jpeg)])[0]
        np.testing.assert_allclose(vision[at]["feature"], expected, atol=2e-3)
    for at, row in table_of("language").items():
        expected = encoder.texts([f"standing {'abcde'[at[1]]}"])[0][0]
        np.testing.assert_allclose(row["feature"], expected, atol=2e-3)
    names = tables.read(Path("data/class_names/class_names.parquet"))
    assert names["name"].to_pylist() == CLASSES
    told = encoder.texts([f"The person is trying to {name}." for name in CLASSES])[0]
    unit = told.astype(float) / np.linalg.norm(told.astype(float), axis=1, keepdims=True)
    np.testing.assert_allclose(tables.vectors(names["feature"]), unit, atol=1e-3)


def test_a_clip_is_computed_once_and_anew_if_one_of_its_crops_changes(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, "embed", "vision")
    record = json.loads(Path(".c2vl/runs/embed-vision.json").read_text())
    by_clip = (
        len(
            {
                row["feature"].tobytes()
                for row in table_of("vision").values()
                if row["status"] == "ok"
            }
        )
        == 2
    )
    assert by_clip is (EncoderParams(model="encoder").frames() is not None)
    assert record["computed"] == (2 if by_clip else 9)
    before = table_of("vision")
    path = Path("data/crop") / f"{SHARD}.parquet"
    table = tables.read(path)
    jpegs = table["crop"].to_pylist()
    jpegs[0] = to_jpeg(np.full((40, 30, 3), 200, np.uint8), 95)
    at = table.schema.get_field_index("crop")
    changed = table.set_column(at, table.schema.field("crop"), pa.array(jpegs, pa.binary()))
    tables.write(path, changed)
    run(monkeypatch, "embed", "vision")
    assert json.loads(Path(".c2vl/runs/embed-vision.json").read_text())["computed"] == 1
    after = table_of("vision")
    moved = {
        at
        for at, row in after.items()
        if row["status"] == "ok" and (row["feature"] != before[at]["feature"]).any()
    }
    assert moved == {(SAMPLES[0], k) for k in range(K if by_clip else 1)}
