"""Where DVC keeps the last version of an out: it removes outs before it runs a stage, but not their files in its cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

LOCK = Path("dvc.lock")  # until the stage has succeeded it still tells of the version before


def cached_files(out: Path) -> dict[str, tuple[Path, str]]:
    """Files of the folder `out` as `dvc.lock` knows it: name -> (path in DVC's cache, md5); those that are there.

    Empty where there is no DVC, no lock file, or nothing of it in the cache. Nothing is fetched.
    """
    digest = _digest(out)
    if digest is None:
        return {}
    try:
        from dvc.repo import Repo

        with Repo() as repo:
            cache = repo.cache.local
            listing = json.loads(Path(cache.oid_to_path(digest)).read_text(encoding="utf-8"))
            files = {
                str(entry["relpath"]): (Path(cache.oid_to_path(entry["md5"])), str(entry["md5"]))
                for entry in listing
            }
    except Exception:  # whatever keeps DVC from telling: the rows are then computed
        return {}
    return {name: (path, md5) for name, (path, md5) in files.items() if path.is_file()}


def _digest(out: Path) -> str | None:
    """The `….dir` digest of `out` in the lock file."""
    try:
        lock: Any = yaml.load(
            LOCK.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        )
    except (OSError, ValueError, yaml.YAMLError):
        return None
    stages = lock.get("stages") if isinstance(lock, dict) else None
    for stage in stages.values() if isinstance(stages, dict) else ():
        for entry in stage.get("outs") or ():
            if entry.get("path") == out.as_posix() and str(entry.get("md5", "")).endswith(".dir"):
                return str(entry["md5"])
    return None
