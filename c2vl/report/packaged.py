"""Reads the JSON documents that the package carries in `report/data`."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any


def packaged_json(name: str) -> Any:
    """The JSON document `name` of `c2vl/report/data`, such as `reference.json`."""
    return json.loads((resources.files("c2vl.report") / "data" / name).read_text(encoding="utf-8"))
