"""The caption stage with a captioning server: it ends at once, and keeps every answer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from caption_server import Handler, Server, crop, params, running_server

from c2vl.core import tables
from c2vl.prompts.caption import CaptionParams, CaptionStage
from c2vl.prompts.jpeg import to_jpeg
from c2vl.store.run import run


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


ENDING = """
import sys
from pathlib import Path
from caption_server import params
from c2vl.core.messages import show_messages
from c2vl.prompts.caption import CaptionParams, CaptionStage
from c2vl.store.run import run
sys.stderr = sys.stdout
show_messages()
try:
    stage = CaptionParams(max_failed=0.0, captioner=params())
    run(CaptionStage(stage, Path("crop")), Path("caption"), {})
except Exception as error:
    print(type(error).__name__)
"""


def test_a_stage_that_ends_does_not_wait_for_a_stuck_server(server: Server, tmp_path: Path) -> None:
    shard = "S001C001"
    good = {"k": 0, "status": "ok", "reason": ""}
    rows = [
        good | {"sample": f"{shard}P{shade:03d}R001A001", "crop": to_jpeg(crop(shade), 95)}
        for shade in range(1, 26)
    ]
    tables.write(tmp_path / "crop" / f"{shard}.parquet", tables.table_of(rows, tables.schemas.CROP))

    def stuck(handler: Handler, shade: int, before: int) -> None:
        handler.reply(400, {"error": {"message": "too dark"}}) if shade == 1 else time.sleep(30)

    server.behaviour = stuck
    variables = {
        "C2VL_CAPTION_URL": server.url,
        "C2VL_CAPTION_IN_FLIGHT": "2",
        "C2VL_WORKERS": "1",
        "C2VL_BATCH_CAPTION": "1",
    }
    tests = Path(__file__).resolve().parents[1]
    variables["PYTHONPATH"] = os.pathsep.join([str(tests / "helpers"), str(tests.parent)])
    done = subprocess.run(
        [sys.executable, "-c", ENDING],
        cwd=tmp_path,
        env=os.environ | variables,
        timeout=25,
        capture_output=True,
    )
    printed = done.stdout.decode()
    assert "TooManyError" in printed, printed + done.stderr.decode()
    assert "caption: 0 answers" in printed, printed
    assert server.asked.total() <= 4  # two in flight, and the two that followed them


def test_the_stage_keeps_every_answer_and_retries_failures_only(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"URL": server.url, "IN_FLIGHT": "4"}.items():
        monkeypatch.setenv(f"C2VL_CAPTION_{name}", value)
    monkeypatch.delenv("C2VL_STORE", raising=False)
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    shard = "S001C001"
    rows = [
        {
            "sample": f"{shard}P{shade:03d}R001A001",
            "k": 0,
            "crop": to_jpeg(crop(shade), 95),
            "status": "ok",
            "reason": "",
        }
        for shade in range(1, 11)
    ]
    tables.write(tmp_path / "crop" / f"{shard}.parquet", tables.table_of(rows, tables.schemas.CROP))

    def picky(handler: Handler, shade: int, before: int) -> None:
        handler.reply(400, {"error": {"message": "too dark"}}) if shade == 2 else handler.answer(
            shade
        )

    def answered() -> list[dict[str, Any]]:
        stage = CaptionStage(CaptionParams(max_failed=0.2, captioner=params()), tmp_path / "crop")
        run(stage, tmp_path / "caption", {})
        return list(tables.rows_of(tables.read(tmp_path / "caption" / f"{shard}.parquet")))

    server.behaviour = picky
    made = answered()
    assert [row["answer"] for row in made] == [
        "shade 1",
        None,
        *(f"shade {shade}" for shade in range(3, 11)),
    ]
    assert (made[1]["status"], made[1]["reason"]) == (
        "no_answer",
        "the captioning server refused the crop (HTTP 400: too dark)",
    )
    server.behaviour = lambda handler, shade, before: handler.answer(shade)
    assert answered()[1]["answer"] == "shade 2"
    assert server.asked == {shade: 2 if shade == 2 else 1 for shade in range(1, 11)}
