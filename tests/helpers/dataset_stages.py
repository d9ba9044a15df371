"""Run stages in this process, and read their tables."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import yaml

from c2vl.core import tables

ROOT = Path(__file__).resolve().parents[2]


def run_stage(name: str, *arguments: str) -> None:
    """Run `stages/<name>.py` with these arguments."""
    before = sys.argv
    sys.argv = [f"stages/{name}.py", *arguments]
    try:
        runpy.run_path(str(ROOT / "stages" / f"{name}.py"), run_name="__main__")
    finally:
        sys.argv = before


def use(**data: Any) -> None:
    """Write `params.yaml` with this section `data`."""
    params = yaml.safe_load((ROOT / "profiles" / "demo.yaml").read_text())
    params["data"] = data
    Path("params.yaml").write_text(yaml.safe_dump(params))


def rows(table: str) -> dict[str, dict[str, Any]]:
    """Rows of a table in `data`, by sample."""
    return {row["sample"]: row for row in tables.rows_of(tables.read(Path("data") / table))}
