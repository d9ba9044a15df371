"""Import what a user wrote, by the path in params.yaml: `module:name`.

A module lies in the folder `extensions/` of the project, or is installed. No other folder is looked
at. To import is to run: params.yaml of somebody else, with modules of theirs, is their program.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

from c2vl.core.errors import UserError

FOLDER = Path("extensions")
PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def is_import_path(text: str) -> bool:
    """Whether a name is meant as `module:name`."""
    return ":" in text


def imported(path: str, key: str) -> Any:
    """The object at `module:name`.

    Args:
        path: such as `my_encoder:MyEncoder`.
        key: of params.yaml, for messages.

    Raises:
        UserError: the path has another form, its module cannot be imported, or the name is not in
            it.
    """
    if not PATH.fullmatch(path):
        raise UserError(
            f"params.yaml: `{key}`: '{path}' is not module:name, such as my_module:MyClass."
        )
    module_name, _, name = path.partition(":")
    _look_into_folder()
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name in _and_parents(module_name)
        why = "there is no such module" if missing else f"{type(error).__name__}: {error}"
        raise UserError(
            f"params.yaml: `{key}`: {module_name} cannot be imported ({' '.join(why.split())}); "
            f"put it into {FOLDER}/, or install it."
        ) from None
    if not hasattr(module, name):
        raise UserError(f"params.yaml: `{key}`: {module_name} has no '{name}'.")
    return getattr(module, name)


def code_files(module_name: str) -> list[Path]:
    """The files that a training's key covers for a user's module, found without running it.

    Those are all files of its top package, or the module and those beside it that it imports.

    Raises:
        UserError: there is no such module.
    """
    _look_into_folder()
    top = module_name.partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not (spec.submodule_search_locations or spec.origin):
        raise UserError(
            f"params.yaml names {module_name}, but there is no such module; "
            f"put it into {FOLDER}/, or install it."
        )
    if spec.submodule_search_locations:
        return sorted(
            path
            for folder in spec.submodule_search_locations
            for path in Path(folder).rglob("*.py")
        )
    found: set[Path] = set()
    waiting = [Path(str(spec.origin))]
    while waiting:
        path = waiting.pop()
        if path.suffix == ".py" and path not in found:
            found.add(path)
            waiting += _imported_beside(path)
    return sorted(found)


def _imported_beside(path: Path) -> list[Path]:
    """Modules and packages in the folder of `path` that it imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    files = [path.with_name(f"{name}.py") for name in names]
    packages = [file for name in names for file in (path.parent / name).rglob("*.py")]
    return [file for file in files if file.is_file()] + packages


def _look_into_folder() -> None:
    """Let modules in `extensions/` be imported; what is installed goes first."""
    folder = FOLDER.resolve()
    if folder.is_dir() and folder.is_relative_to(Path.cwd().resolve()):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
        importlib.invalidate_caches()


def _and_parents(module: str) -> set[str]:
    parts = module.split(".")
    return {".".join(parts[:depth]) for depth in range(1, len(parts) + 1)}
