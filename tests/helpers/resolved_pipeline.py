"""dvc.yaml with its templates filled in, by DVC's own resolver; nothing is run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from dvc.parsing import DataResolver
from dvc.repo import Repo

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))


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
