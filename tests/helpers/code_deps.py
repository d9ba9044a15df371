"""Finds the files a stage depends on: its script, its imports, and the data files beside them.

Imports inside functions count. Imports under `TYPE_CHECKING` do not.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "c2vl"
SCRIPT = re.compile(r"python (stages/\w+\.py)")


def scripts() -> dict[str, str]:
    """Stage name -> its script, read from `dvc.yaml`."""
    found: dict[str, str] = {}
    stage = ""
    for line in (ROOT / "dvc.yaml").read_text(encoding="utf-8").splitlines():
        if name := re.fullmatch(r"  (\w+):(?: *#.*)?", line):
            stage = name[1]
        elif (cmd := SCRIPT.search(line)) and line.lstrip().startswith("cmd:"):
            found[stage] = cmd[1]
    return found


def used_files(script: str) -> set[str]:
    """Files of this project, relative to its root, on which the script's behaviour depends."""
    waiting, seen = [script], set[str]()
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting.extend(imported_files(path) if (ROOT / path).is_file() else ())
    return seen | {
        extra
        for folder in {str(Path(path).parent) for path in seen}
        for extra in data_files(folder)
    }


@cache
def imported_files(path: str) -> frozenset[str]:
    """Files of this project that the Python file `path` imports directly."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"), path)
    found: set[str] = set()
    for name in _imported_names(tree, path):
        found |= _files_of(name, Path(path).parent)
    return frozenset(found)


def _imported_names(tree: ast.AST, path: str) -> Iterator[str]:
    here = ".".join(Path(path).parent.parts)
    for node in _run_time(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = here.split(".")[: len(here.split(".")) - node.level + 1]
                base = ".".join([*above, base]).rstrip(".")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)  # a name may be a module


def _run_time(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from (found for branch in node.orelse for found in [branch, *_run_time(branch)])
        else:
            yield node
            yield from _run_time(node)


def _files_of(name: str, folder: Path) -> set[str]:
    """Files that run when the module `name` is imported: its own and those of its packages."""
    parts = name.split(".")
    if parts[0] != PACKAGE:
        beside = folder / f"{parts[0]}.py"
        return {str(beside)} if folder.name == "stages" and (ROOT / beside).is_file() else set()
    found = set()
    for depth in range(1, len(parts) + 1):
        stem = Path(*parts[:depth])
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            if (ROOT / path).is_file():
                found.add(str(path))
    return found


@cache
def data_files(folder: str) -> frozenset[str]:
    """Files in `folder` of the package that are not Python: class names, templates, styles."""
    inside = sorted((ROOT / folder).iterdir()) if folder.split("/")[0] == PACKAGE else []
    return frozenset(
        str(path.relative_to(ROOT))
        for path in inside
        if path.is_file() and path.suffix not in (".py", ".pyc", ".typed")
    )
