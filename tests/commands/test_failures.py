"""`c2vl failures` lists a cause once, at the stage where it lies."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from c2vl.commands import failures
from c2vl.commands.failures import run, with_own_cause


def row(sample: str, status: str, k: int | None = None) -> dict[str, Any]:
    return {"sample": sample, "status": status, "reason": "why"} | ({} if k is None else {"k": k})


ROWS = {
    "pose": [],
    "video_skeleton": [],
    "skeleton": [row("A", "unusable")],
    "crop": [row("A", "no_skeleton", 0), row("A", "no_skeleton", 1), row("B", "unreadable", 1)],
    "caption": [
        row("A", "no_crop", 0),
        row("A", "no_crop", 1),
        row("B", "no_crop", 1),
        row("B", "no_answer", 0),  # its crop is fine
    ],
    "embed-vision": [row("A", "no_crop", 0), row("A", "no_crop", 1), row("B", "no_crop", 1)],
    "embed-language": [
        row("B", "no_answer", 0),
        row("B", "no_answer", 1),
        row("A", "no_answer", 0),
    ],
}


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(failures, "rows_of", lambda stage: ROWS[stage.name])


def asked(stage: str | None = None, reason: str | None = None) -> argparse.Namespace:
    return argparse.Namespace(stage=stage, reason=reason, all=False, json=False, retry=False)


def test_a_failed_prompt_is_not_listed_again_by_later_stages(
    listed: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run(asked())
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert lines == [
        "pose: 0 rows without a result",
        "skeleton: 1 rows without a result",
        "crop: 1 rows without a result, and 2 because an earlier stage failed",
        "video_skeleton: 0 rows without a result",
        "caption: 1 rows without a result, and 3 because an earlier stage failed",
        "embed-vision: 0 rows without a result, and 3 because an earlier stage failed",
        "embed-language: 0 rows without a result, and 3 because an earlier stage failed",
    ]


def test_one_stage_lists_all_of_its_rows(listed: None, capsys: pytest.CaptureFixture[str]) -> None:
    run(asked("caption"))
    out = capsys.readouterr().out
    assert out.startswith("caption: 4 rows without a result\n") and "A   0  no_crop: why" in out


def test_a_prompt_that_failed_by_itself_stays(listed: None) -> None:
    assert with_own_cause(ROWS["caption"], [ROWS["crop"]]) == [row("B", "no_answer", 0)]
    assert with_own_cause(ROWS["crop"], []) == ROWS["crop"]
