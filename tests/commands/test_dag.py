"""`c2vl dag` fits a terminal and shows every stage after those that it needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from c2vl.commands.dag import lines, needs_of

ROOT = Path(__file__).resolve().parents[2]


def test_needs_that_follow_from_others_are_left_out() -> None:
    dot = 'strict digraph {\n"a";\n"a" -> "b";\n"b" -> "c_d";\n"a" -> "c_d";\n}'
    names = {"c_d": 3, "b": 1, "a": 1}
    needs = needs_of(dot, names)
    assert needs["c_d"] == {"a", "b"}
    assert list(lines(needs, names)) == ["a", "b                    a", "c_d ×3               b"]


def test_the_pipeline_fits_eighty_columns(tmp_path: Path) -> None:
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    done = subprocess.run(
        [sys.executable, "-m", "c2vl.cli", "dag"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout.splitlines()
    assert max(map(len, shown)) <= 80
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert [line.split()[0] for line in shown][-1] == "report"
    assert {line.split()[0] for line in shown} == set(stages)
