"""dvc.yaml with its templates filled in, by DVC's own resolver; nothing is run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from dvc.parsing import DataResolver, interpolate
from dvc.repo import Repo

ROOT = Path(__file__).resolve().parents[2]
CODE = {"c2vl", "stages"}  # tests/pipeline/test_graph.py follows the imports
ALWAYS = {"params.yaml"}  # its sections are held to `params` by the same test
TRACKER = {".dvcignore", ".gitignore"}  # DVCLive's, which draws curves
LOCK = {"dvc.lock"}  # both stores ask it for an older out, and take from that by content key
SAID = {"crop": {"dvc.yaml"}}  # whether pictures would be pushed: a sentence, no result
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))

interpolate.parse_expr = cache(interpolate.parse_expr)  # most of its time; each text many times


def resolved(repo: Repo, params: Mapping[str, Any]) -> dict[str, Any]:
    """The stages by name, in the order of dvc.yaml, with `params` as params.yaml of `repo`."""
    folder = Path(repo.root_dir)
    (folder / "params.yaml").write_text(json.dumps(params), encoding="utf-8")  # JSON is YAML
    repo.drop_data_index()
    return DataResolver(repo, folder.as_posix(), PIPELINE).resolve()["stages"]


def name_of(path: Any) -> str:
    """A dependency or an out; one with settings of its own is a mapping."""
    return next(iter(path)) if isinstance(path, dict) else path


def lies_in(path: str, places: set[str]) -> bool:
    """Whether `path` is one of `places` or below one."""
    return any(path == place or path.startswith(f"{place}/") for place in places)


def readable(name: str, stage: Mapping[str, Any]) -> set[str]:
    """What a stage of the small world may read: its dependencies and what they hold hashes of."""
    allowed = {name_of(path) for path in [*stage["deps"], *stage["outs"]]}
    allowed |= CODE | ALWAYS | TRACKER | LOCK | SAID.get(name.partition("@")[0], set())
    if "data/index" in allowed:  # holds the hashes of the raw files
        allowed.add("data/studio")
    if any(path.endswith("/index") and "targets" in path for path in allowed):
        allowed.add("data/studio-b")
    return allowed
