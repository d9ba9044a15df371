"""Hold outputs, here and in DVC's cache, to the hashes that dvc.lock knows (`c2vl doctor --deep`).

DVC trusts a file whose size and time did not change. Neither does a Parquet file notice every
flipped bit: pages have checksums, its footer has none.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from c2vl.commands.checks.finding import Finding
from c2vl.core.machine import workers

LOCK = Path("dvc.lock")
TOPIC = "outputs"
SHOWN = 8  # files in one command to paste


@dataclass(frozen=True)
class Known:
    """A file whose MD5 is known, and the stage that writes it."""

    stage: str
    path: Path
    md5: str


def outputs() -> Iterator[Finding]:
    """Read every output and its copy in DVC's cache; a finding for each stage with damage."""
    stages = _locked_stages()
    if not stages:
        yield Finding("ok", TOPIC, "none yet: there is no dvc.lock")
        return
    files, damaged = _known(stages)
    with ThreadPoolExecutor(workers()) as threads:
        for file, intact in zip(files, threads.map(_is_intact, files), strict=True):
            if not intact:
                damaged[file.stage].append(file.path)
    for stage, paths in damaged.items():
        shown = sorted(set(paths))[:SHOWN]
        more = "" if len(set(paths)) <= SHOWN else "; then run `c2vl doctor --deep` again"
        names = " ".join(shlex.quote(os.path.relpath(path)) for path in shown)
        yield Finding(
            "FAIL",
            TOPIC,
            f"{len(set(paths)):,} files of {stage} do not have the hash in dvc.lock: they are "
            "damaged, or were changed since",
            f"`rm -f {names} && dvc repro {shlex.quote(stage)}`{more}",
        )
    if not damaged:
        yield Finding("ok", TOPIC, f"{len(files):,} files have the hashes in dvc.lock")


def _locked_stages() -> dict[str, Any]:
    try:
        lock = yaml.safe_load(LOCK.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return dict(lock.get("stages") or {}) if isinstance(lock, dict) else {}


def _known(stages: dict[str, Any]) -> tuple[list[Known], dict[str, list[Path]]]:
    """The files to read, and damaged listings of folders by stage, without which none are known."""
    from dvc.repo import Repo

    files: list[Known] = []
    damaged: dict[str, list[Path]] = defaultdict(list)
    with Repo() as repo:
        cached = repo.cache.local.oid_to_path
        for stage, locked in stages.items():
            for out in locked.get("outs") or ():
                digest, path = str(out.get("md5", "")), Path(out["path"])
                if out.get("hash") != "md5":  # other kinds of hashes, of old versions of DVC
                    continue
                here = {path: digest}
                if digest.endswith(".dir"):
                    listing = Path(cached(digest))
                    if not listing.exists():
                        continue
                    if not _is_intact(Known(stage, listing, digest.removesuffix(".dir"))):
                        damaged[stage].append(listing)
                        continue
                    entries = json.loads(listing.read_bytes())
                    here = {path / entry["relpath"]: entry["md5"] for entry in entries}
                for file, md5 in here.items():
                    copy = Path(cached(md5))
                    files.append(Known(stage, copy, md5))
                    if not (copy.exists() and file.exists() and copy.samefile(file)):
                        files.append(Known(stage, file, md5))
    return [file for file in files if file.path.is_file()], damaged


def _is_intact(known: Known) -> bool:
    try:
        with known.path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest() == known.md5
    except OSError:
        return False
