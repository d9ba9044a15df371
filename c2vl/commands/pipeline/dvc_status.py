"""What DVC finds changed of a stage and of those before it, without running them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PIPELINE = Path("dvc.yaml")


def changed_before(target: str) -> dict[str, list[str]] | None:
    """Of `target` and the stages before it: stage -> the dependencies that changed since it ran, data before code.

    Empty where all is up to date or there is no pipeline here; None where DVC cannot tell, which it says on stderr: it may be
    at work. Files that DVC has not seen yet are hashed, which their stage is then spared.
    """
    if not PIPELINE.is_file():
        return {}
    command = [sys.executable, "-m", "dvc", "status", "--json", "--with-deps", target]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    try:
        found = json.loads(told.stdout)
    except ValueError:
        return None
    if told.returncode or not isinstance(found, dict):
        return None
    return {name: named for name, changes in found.items() if (named := _named(changes))}


def _named(changes: list[Any]) -> list[str]:
    """`raw (modified)`, or of params.yaml `data.raw (modified)`; outs do not count, nor does a stage that always runs."""
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
    return sorted(named, key=lambda text: (text.startswith(("c2vl/", "stages/")), text))
