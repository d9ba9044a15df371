"""`make install` where the machine's Python cannot make a virtual environment, and afterwards."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from resolved_pipeline import PIPELINE, lies_in, name_of

ROOT = Path(__file__).parents[2]
WITHOUT_PIP = '#!/bin/sh\necho "No module named pip" >&2; exit 1\n'
WITH_PIP = "#!/bin/sh\nexit 0\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def install(project: Path, python: str, exit_code: int) -> subprocess.CompletedProcess[str]:
    """`make install` by a Python whose `-m venv` leaves `python` in .venv and ends so."""
    (project / "environment").write_text(python)
    interpreter = project / "python3.11"
    interpreter.write_text(
        "#!/bin/sh\n"
        'if [ "$2" = venv ]; then\n'
        "  mkdir -p .venv/bin; cp environment .venv/bin/python; chmod +x .venv/bin/python\n"
        f"  exit {exit_code}\n"
        "fi\n"
        f'exec {sys.executable} "$@"\n'
    )
    interpreter.chmod(0o755)
    command = ["make", "install", f"PYTHON={interpreter}", "INSTALL=echo installs"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60)


def test_a_python_without_venv_leaves_nothing_and_names_the_package(project: Path) -> None:
    done = install(project, WITHOUT_PIP, exit_code=1)
    assert done.returncode != 0
    assert "sudo apt install python3.11-venv" in done.stdout
    assert "make install" in done.stdout and "installs" not in done.stdout
    assert not (project / ".venv").exists()


def test_an_environment_without_pip_is_built_anew(project: Path) -> None:
    stale = project / ".venv/bin/python"
    stale.parent.mkdir(parents=True)
    stale.write_text(WITHOUT_PIP)
    stale.chmod(0o755)
    (project / ".venv/left over").touch()
    done = install(project, WITH_PIP, exit_code=0)
    assert done.returncode == 0 and "installs" in done.stdout, done.stdout + done.stderr
    assert not (project / ".venv/left over").exists()


def test_an_environment_with_pip_is_kept(project: Path) -> None:
    assert install(project, WITH_PIP, exit_code=0).returncode == 0
    (project / ".venv/own file").touch()
    (project / ".venv/.installed").unlink()
    done = install(project, WITH_PIP, exit_code=1)
    assert done.returncode == 0 and "installs" in done.stdout
    assert (project / ".venv/own file").exists()


def test_encoders_makes_first_what_its_trainings_read() -> None:
    """`dvc repro -s` runs one stage, and none that it needs."""
    stages = {name: one.get("do", one) for name, one in PIPELINE["stages"].items()}
    maker = {
        name_of(out).partition("${")[0]: name
        for name, stage in stages.items()
        for out in stage.get("outs", [])
    }

    def needs(name: str) -> set[str]:
        deps = [name_of(dep).partition("${")[0] for dep in stages[name]["deps"]]
        return {by for dep in deps for out, by in maker.items() if lies_in(dep, {out.rstrip("/")})}

    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^encoders:.*\n\tdvc repro (.+)$", makefile, re.MULTILINE)
    assert targets is not None
    made, left = set[str](), targets[1].split()
    while left:
        made.add(name := left.pop())
        left += needs(name) - made
    assert "index" in made
    assert needs("pretrain") | needs("baselines") <= made
