"""Ask DVC what changed for a stage and the stages before it, without running them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PIPELINE = Path("dvc.yaml")
CODE = ("c2vl/", "stages/")


def changed_before(target: str | None) -> dict[str, list[str]] | None:
    """Return the dependencies that changed since their stage ran, by stage, data before code.

    This covers `target` and the stages before it, or all stages (None). It is empty if all is up to
    date or there is no pipeline here. It is None if DVC cannot answer, for example because it is
    running; DVC then prints why. DVC hashes files that it has not seen yet.
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
    """True if a change of `changed_before` is a change of code."""
    return change.startswith(CODE)


def dep_of(change: str) -> str:
    """Return the file, folder or parameter of a change of `changed_before`."""
    return change.rsplit(" (", 1)[0]


def _named(changes: list[Any]) -> list[str]:
    """Return texts such as `raw (modified)`, or `data.raw (modified)` for a parameter.

    Changed outputs do not count; neither does a stage that always runs.
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
