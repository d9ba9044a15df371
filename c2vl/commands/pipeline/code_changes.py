"""Tell a change of code from a change of comments, docstrings or formatting.

`dvc.lock` has only a hash of the version that ran last. Its text comes from git, from the newest
commit whose files have that hash. If no commit has it, it is unknown what changed.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from c2vl.core.syntax import same_code
from c2vl.store.seed import LOCK

MOST_COMMITS, MOST_NAMED = 100, 3
Texts = dict[str, bytes]  # by path below the dep; of a file that is the dep, ""


@dataclass(frozen=True)
class Change:
    """What changed in one dependency since its stage ran.

    Attributes:
        dep: file or folder of code.
        code: files whose code changed; None: unknown.
    """

    dep: str
    code: list[str] | None

    @property
    def is_harmless(self) -> bool:
        """True if no code changed."""
        return self.code == []

    def __str__(self) -> str:
        if self.code is None:
            return (
                f"{self.dep} changed; unknown if its code did: git lacks the version that ran last"
            )
        if not self.code:
            return f"{self.dep} changed: comments, docstrings or formatting only"
        more = f" and {len(self.code) - MOST_NAMED} more" if len(self.code) > MOST_NAMED else ""
        return f"code changed: {', '.join(self.code[:MOST_NAMED])}{more}"


def code_change(stage: str, dep: str) -> Change:
    """Return what changed in `dep`, a file or folder of code, since `stage` (DVC's name) ran."""
    ran = hash_that_ran(stage, dep)
    before = text_with_hash(dep, ran) if ran else None
    if before is None:
        return Change(dep, None)
    now = _texts_now(Path(dep))
    changed = [
        f"{dep}/{name}" if name else dep
        for name in sorted({*before, *now})
        if not _same(name or dep, before.get(name), now.get(name))
    ]
    return Change(dep, changed)


def hash_that_ran(stage: str, dep: str) -> str | None:
    """Return a dependency's hash in `dvc.lock`: md5 of a file, or of a folder's list of files."""
    entries = _lock(LOCK.stat().st_mtime_ns).get(stage, {}).get("deps") if LOCK.is_file() else None
    return next((entry.get("md5") for entry in entries or () if entry.get("path") == dep), None)


@cache
def text_with_hash(dep: str, wanted: str) -> Texts | None:
    """Return the files of `dep` in the newest commit in which they have the hash `wanted`."""
    commits = _git("log", f"-{MOST_COMMITS}", "--format=%H", "--", dep)
    for commit in (commits or b"").decode().split():
        texts = _texts_of(commit, dep)
        if texts and hash_of(texts) == wanted:
            return texts
    return None


def hash_of(texts: Texts) -> str:
    """Return DVC's hash of a file, or of a folder with these files."""
    if "" in texts:
        return hashlib.md5(texts[""]).hexdigest()
    listing = [
        {"md5": hashlib.md5(content).hexdigest(), "relpath": name}
        for name, content in sorted(texts.items())
    ]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode()).hexdigest() + ".dir"


def _texts_of(commit: str, dep: str) -> Texts:
    """Return the files of `dep` in a commit, by path below it."""
    # `./`: as DVC's, paths are relative to the project, which may lie below git's root
    listed = (_git("ls-tree", "-r", "-z", commit, f"./{dep}") or b"").decode().split("\0")
    found: Texts = {}
    for line in filter(None, listed):
        about, path = line.split("\t", 1)
        name = Path(path).relative_to(dep).as_posix()
        found["" if name == "." else name] = _blob(about.split()[2])
    return found


@cache
def _blob(name: str) -> bytes:
    return _git("cat-file", "blob", name) or b""


@cache
def _lock(changed_at: int) -> dict[str, Any]:
    try:
        lock = yaml.load(
            LOCK.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        )
        return dict(lock["stages"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return {}


def _texts_now(dep: Path) -> Texts:
    if dep.is_file():
        return {"": dep.read_bytes()}
    return {
        path.relative_to(dep).as_posix(): path.read_bytes()
        for path in dep.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def _same(path: str, before: bytes | None, now: bytes | None) -> bool:
    if before == now:
        return True
    if before is None or now is None or not path.endswith(".py"):
        return False
    return same_code(before.decode("utf-8", "replace"), now.decode("utf-8", "replace"))


def _git(*arguments: str) -> bytes | None:
    """Return git's output; None if git fails or is not there."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
