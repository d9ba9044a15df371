"""The benchmark of the objectives runs, with the shipped study's settings."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_objective_has_a_row_and_a_ratio() -> None:
    command = [sys.executable, "bench/objectives.py", "--repetitions", "1", "--batch", "4"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"^\| (.+?) \| \d+ \| (\d+\.\d\d) \|$", found, re.M)
    assert rows[0] == ("infonce", "1.00")
    assert {name for name, _ in rows} >= {"c2vl", "two_views", "infonce, frozen prompts"}
