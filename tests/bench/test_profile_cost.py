"""The table of what a profile costs: counts by hand, and what README and docs quote of it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = 40_091 + 16_487


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(ROOT / "bench"), *sys.path])
        import profile_cost

        return profile_cost


def test_calls_are_clips_times_prompts(bench: ModuleType) -> None:
    for profile, prompts in (("small", 4), ("paper", 16)):
        rows = {row.stage: row for row in bench.rows_of(profile)}
        for stage in ("crop", "caption", "embed"):
            assert rows[stage].items == SAMPLES * prompts
    assert rows["pretrain"].items == 3 * 150 * 400 * (100 + 94)
    # batches of 400 in 55/60, 0.8 × 50/60, 48/60 and 0.8 × 38/60 of 40,091 clips
    assert rows["zero_shot_pretrain"].items == 150 * 400 * (91 + 66 + 80 + 50)
    # 30 probes, 16 and 12 looks at the test splits, and six encoders' features of each benchmark
    looks = (2 * 3 + 2 * 2) * 30 * 2500 + (3 * 2 * 16 + 2 * 3 * 5 * 12) * (16_487 + 18_932)
    assert rows["features, …"].items == looks + 2 * 6 * SAMPLES


def test_hours_are_flops_by_peak_and_bytes_by_bandwidth(bench: ModuleType) -> None:
    h100 = bench.GPUS[-1]
    caption = next(row for row in bench.rows_of("paper") if row.stage == "caption")
    flops = 0.382e12 + 2 * 6.6e9 * (640 + 40)
    moved = 40 * (7.063e9 * 2 / 16 + 2 * 32 * 4096 * 2 * 640)
    each = flops / (989e12 * 0.4) + moved / (3.35e12 * 0.6)
    assert caption.hours(h100) == pytest.approx(SAMPLES * 16 * each / 3600)


def test_paper_does_not_fit_into_8_gb_and_small_does(bench: ModuleType) -> None:
    smallest = bench.GPUS[0]
    assert bench.total(bench.rows_of("paper"), smallest) is None
    assert bench.total(bench.rows_of("small"), smallest) > 0


def test_readme_and_docs_quote_the_tables(bench: ModuleType) -> None:
    paste = "paste the tables of `python bench/profile_cost.py --short` there"
    readme = (ROOT / "README.md").read_text()
    assert "\n".join(bench.short_table()) in readme, f"README.md: {paste}"
    page = (ROOT / "docs/running-on-real-data.md").read_text()
    for line in bench.quoted_table():
        assert line in page, f"docs/running-on-real-data.md: {paste}"
