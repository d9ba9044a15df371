"""What DVC finds changed of a stage and of those before it, without running them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PIPELINE = Path("dvc.yaml")
CODE = ("c2vl/", "stages/")


def changed_before(target: str | None) -> dict[str, list[str]] | None:
    """The dependencies that changed since a stage ran, by stage, data before code.

    Of `target` and the stages before it, or of all (None). Empty where all is up to date or there
    is no pipeline here; None where DVC cannot tell, which it says on stderr: it may be at work.
    Files that DVC has not seen yet are hashed, which their stage is then spared.
    """
    if not PIPELINE.is_file():
        return {}
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    command += ["--with-deps", target] if target else []
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    try:
        found = json.loads(answer.stdout)
    except ValueError:
        return None
    if answer.returncode or not isinstance(found, dict):
        return None
    return {name: named for name, changes in found.items() if (named := _named(changes))}


def is_code(change: str) -> bool:
    """Whether a change of `changed_before` is one of code."""
    return change.startswith(CODE)


def dep_of(change: str) -> str:
    """The file, folder or parameter that a change of `changed_before` names."""
    return change.rsplit(" (", 1)[0]


def _named(changes: list[Any]) -> list[str]:
    """`raw (modified)`, or of params.yaml `data.raw (modified)`.

    Outputs do not count, nor does a stage that always runs.
    """
    named: list[str] = []
    for change in changes:
        for name, how in (
            change.get("changed deps", {}) if isinstance(change, dict) else {}
        ).items():
            named += (
                [f"{key} ({value})" for key, value in how.items()]
                if isinstance(how, dict)
                else [f"{name} ({how})"]
            )
    return sorted(named, key=lambda text: (is_code(text), text))
