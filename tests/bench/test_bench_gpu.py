"""The script for a GPU runs every part with tiny shapes on the CPU, and says why a part fails."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
# Cells that a part must fill; a skipped part has none.
ENGINE = {"batch", "stage, /s", "model alone, /s", "stage / model", "one by one, /s"}
ENGINE |= {"stage / one by one", "peak GiB"}
FILLED = {
    "detector, Grounding DINO base": ENGINE,
    "captioner, LLaVA-1.5-7B": ENGINE,
    "captioner, Qwen3-VL-8B": ENGINE,
    "encoder, CLIP L/14@336": ENGINE,
    "killed and resumed, fp32": {"batch", "stage, /s"},
    "killed and resumed, bf16": {"batch", "stage, /s"},
    "training, bf16": ENGINE,
    "training, fp32": ENGINE,
    "training, bf16, compiled": ENGINE,
    "training, fp32, compiled": ENGINE,
    "shipped engines, beside the CPU": {"peak GiB"},
    "batch that does not fit": set(),
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH / "gpu.py"), "--tiny", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def rows_of(markdown: str) -> dict[str, dict[str, str]]:
    lines = [line.strip("| \n").split("|") for line in markdown.splitlines() if line[:1] == "|"]
    heads = [head.strip() for head in lines[0]]
    cells = [[cell.strip() for cell in line] for line in lines[2:]]
    return {line[0]: dict(zip(heads[1:], line[1:], strict=True)) for line in cells}


@pytest.mark.recipes
def test_every_part_runs_with_tiny_shapes_and_fills_its_row(tmp_path: Path) -> None:
    done = run("--out", str(tmp_path / "table.md"))
    assert "Tiny shapes" in done.stdout
    rows = rows_of(done.stdout)
    assert rows == rows_of((tmp_path / "table.md").read_text(encoding="utf-8"))
    assert rows.keys() == FILLED.keys()
    for title, cells in FILLED.items():
        assert "failed" not in rows[title]["remarks"], (title, done.stderr)
        assert all(rows[title][head] for head in cells), (title, rows[title])
    for precision in ("fp32", "bf16"):
        remarks = rows[f"killed and resumed, {precision}"]["remarks"]
        assert "in step 9 of 12, resumed after step 8; all weights equal to the bit" in remarks
    assert "needs a GPU" in rows["batch that does not fit"]["remarks"]
    assert done.returncode == 0


def test_what_does_not_begin_in_time_is_a_row_with_the_reason() -> None:
    done = run("--minutes", "0", "--parts", "memory", "detector")
    rows = rows_of(done.stdout)
    assert list(rows) == ["detector, Grounding DINO base", "batch that does not fit"]
    assert all("**failed**: not begun" in row["remarks"] for row in rows.values())
    assert done.returncode == 1


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [str(BENCH), *sys.path])
    spec = importlib.util.find_spec("gpu")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("broken", "ValueError: a batch was odd"),
        ("killed", "killed by signal 9: about to die"),
        ("wrong", "the weights differ"),
    ],
)
def test_a_part_that_fails_keeps_what_it_measured(
    part: str, reason: str, gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gpu_parts

    monkeypatch.setitem(gpu_parts.PARTS, part, globals()[part])
    row, why, _ = gpu.run_part(part, tmp_path / part, True, 600)
    assert (row["batch"], why) == (16, reason)
    shown = gpu.table([(gpu.Part(part, "a title", 1), row, why, 2.0)])
    assert rows_of(shown)["a title"]["remarks"] == f"**failed**: {reason}"


def test_a_part_that_takes_too_long_is_ended(
    gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gpu_parts

    monkeypatch.setitem(gpu_parts.PARTS, "stuck", lambda *_: subprocess.run(["sleep", "600"]))
    _, why, _ = gpu.run_part("stuck", tmp_path / "stuck", True, 0.6)
    assert why == "stopped after 1 s"


def broken(row, folder: Path, tiny: bool) -> None:
    row.add(batch=16)
    raise ValueError("a batch was odd")


def killed(row, folder: Path, tiny: bool) -> None:
    import os

    row.add(batch=16)
    print("about to die", flush=True)
    os.kill(os.getpid(), 9)


def wrong(row, folder: Path, tiny: bool) -> None:
    row.add(batch=16, failure="the weights differ")


def test_a_difference_of_the_last_bit_is_one(gpu) -> None:
    import gpu_resume
    import torch

    one = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([0.0])}
    least = torch.nextafter(torch.tensor([1.0, 2.0]), torch.tensor([9.0, 2.0]))
    assert gpu_resume.difference(one, {name: value.clone() for name, value in one.items()}) == 0
    assert 0 < gpu_resume.difference(one, {**one, "a": least}) < 1e-6
    assert gpu_resume.difference(one, {**one, "b": torch.tensor([float("nan")])}) > 0
