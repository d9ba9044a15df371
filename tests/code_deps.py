"""Which code a stage uses: its script, every module of c2vl that it imports directly or through others, and their data files.

`python tests/code_deps.py` prints it by stage; with `--write` (or `make graph`) it goes into `dvc.yaml`.
Imports inside functions count, imports for the type checker alone do not. A folder stands for its files when nearly all
are used: DVC reads its lock file, which has five lines a dependency, at every command.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "c2vl"
NEARLY_ALL = 0.8  # share of a folder's files a stage has to use for the folder to stand for them
SCRIPT = re.compile(r"python (stages/\w+\.py)")


def scripts() -> dict[str, str]:
    """Stage name -> its script, from `dvc.yaml`'s text."""
    found: dict[str, str] = {}
    stage = ""
    for line in (ROOT / "dvc.yaml").read_text(encoding="utf-8").splitlines():
        if name := re.fullmatch(r"  (\w+):(?: *#.*)?", line):
            stage = name[1]
        elif (cmd := SCRIPT.search(line)) and line.lstrip().startswith("cmd:"):
            found[stage] = cmd[1]
    return found


def used_files(script: str) -> set[str]:
    """Paths (relative to the project) of every file of this project whose content the script's behaviour depends on."""
    waiting, seen = [script], set[str]()
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting.extend(imported_files(path) if (ROOT / path).is_file() else ())
    return seen | {extra for folder in {str(Path(path).parent) for path in seen} for extra in data_files(folder)}


@cache
def imported_files(path: str) -> frozenset[str]:
    """Files of this project that the Python file `path` imports itself."""
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
    """Files that run when the module `name` is imported: itself and the packages above it."""
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
    return frozenset(str(path.relative_to(ROOT)) for path in inside if path.is_file() and path.suffix not in (".py", ".pyc"))


@cache
def project_files() -> frozenset[str]:
    """All files of the package, without what Python leaves behind."""
    found = (path for path in (ROOT / PACKAGE).rglob("*") if path.is_file() and path.suffix != ".pyc")
    return frozenset(str(path.relative_to(ROOT)) for path in found)


def folded(files: Iterable[str]) -> list[str]:
    """`files`, with a folder below the package in the place of its files where nearly all of them are used."""
    files = set(files)
    for folder in sorted({str(up) for path in files for up in Path(path).parents if len(up.parts) > 1}, key=len):
        inside = {path for path in project_files() if path.startswith(f"{folder}/")}
        if inside and len(inside & files) >= NEARLY_ALL * len(inside):
            files = (files - inside) | {folder}
    return sorted(files, key=lambda path: (not path.startswith("stages/"), path))


@cache
def code_deps() -> dict[str, list[str]]:
    """Stage -> what `dvc.yaml` has to list as its code."""
    return {stage: folded(used_files(script)) for stage, script in scripts().items()}


def rewritten(text: str, wanted: dict[str, list[str]]) -> str:
    """`dvc.yaml` with the code deps of each stage in the place of those it lists; the rest stays as it is."""
    lines: list[str] = []
    stage = ""
    for line in text.splitlines():
        if name := re.fullmatch(r"  (\w+):(?: *#.*)?", line):
            stage = name[1]
        entry = re.fullmatch(r"(\s+- )((?:stages|c2vl)/\S+)", line)
        if not entry:
            lines.append(line)
        elif entry[2].startswith("stages/") and entry[2] == wanted[stage][0]:
            lines.extend(entry[1] + path for path in wanted[stage])
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if "--write" in sys.argv:
        target = ROOT / "dvc.yaml"
        target.write_text(rewritten(target.read_text(encoding="utf-8"), code_deps()), encoding="utf-8")
        sys.exit(subprocess.run(["git", "diff", "--stat", "dvc.yaml"], cwd=ROOT, check=False).returncode)
    for stage, deps in code_deps().items():
        print(stage, *deps, sep="\n  ")
