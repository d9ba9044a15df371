"""The modules that decide what a training computes: their code, and no other, is in its key.

An entry is a module, a package (all modules in it) or `module:name` (this definition alone).
A test fails when a training imports a module of `models` or `training` that is missing here.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import c2vl
from c2vl.core.extensions import code_files
from c2vl.core.syntax import dump, parsed

Kind = Literal["pretraining", "supervised", "finetuning"]

USERS = "extension "  # begins an entry of a user's own code
EVERY = (
    "c2vl.training.loop",
    "c2vl.training.step",
    "c2vl.training.schedule",
    "c2vl.training.task",
    "c2vl.training.devices",
    "c2vl.training.batchnorm",
    "c2vl.models.encoders.registry:build_encoder",
    "c2vl.models.graph",
    "c2vl.models.ragged",
    "c2vl.models.resident",
    "c2vl.models.streams",
    "c2vl.models.views",
)
OWN: dict[Kind, tuple[str, ...]] = {
    "pretraining": (
        "c2vl.training.pretrain",
        "c2vl.training.objective",
        "c2vl.training.probe",  # fills a column of the curves
        "c2vl.models.encode",
        "c2vl.models.prompt_features",
    ),
    "supervised": ("c2vl.training.supervised",),
    "finetuning": (
        "c2vl.training.supervised",
        "c2vl.training.finetuning.finetune",
        "c2vl.training.metrics:top1",
        "c2vl.models.encode",
    ),
}
_BLOCKS = "c2vl.models.encoders"
ENCODERS = {
    "stgcn": (f"{_BLOCKS}.stgcn", f"{_BLOCKS}.depth", f"{_BLOCKS}.persons"),
    "stgcn_published": tuple(
        f"{_BLOCKS}.{name}" for name in ("stgcn_published", "stgcn", "depth", "persons")
    ),
    "ctrgcn": tuple(
        f"{_BLOCKS}.{name}" for name in ("ctrgcn", "depth", "persons", "pointwise", "temporal")
    ),
    "msg3d": tuple(f"{_BLOCKS}.{name}" for name in ("msg3d", "persons", "pointwise", "temporal")),
    "gru": (f"{_BLOCKS}.gru", f"{_BLOCKS}.persons", f"{_BLOCKS}.recurrence"),
    "transformer": (f"{_BLOCKS}.transformer", f"{_BLOCKS}.persons"),
}
OPTIMISERS = {"sgd": (), "adamw": ("c2vl.training.optimisers:adamw",)}  # sgd: in `schedule`
# Functions by the names that they had when results were keyed: a new name leaves the keys.
RENAMED = {"make_optimiser": "sgd"}
HARMLESS = {
    "c2vl.models.clips": "reads tensors, whose bytes are in the key",
    "c2vl.models.read_prompts": "reads tensors, whose bytes are in the key",
    "c2vl.training.checkpoint": "writes and reads finished networks",
    "c2vl.training.curves": "writes the curves",
    "c2vl.training.deciding": "hashes code",
    "c2vl.training.environment": "reads settings that are in the key by value",
    "c2vl.training.finetuning.finetune_params": "values are in the key",
    "c2vl.training.objective.chosen": "imports a loss, whose code is in the key",
    "c2vl.training.objective.imported": "calls a user's loss, and is then in the key",
    "c2vl.training.keep": "saves unfinished trainings",
    "c2vl.training.key": "makes the key",
    "c2vl.training.objective.objective_params": "values are in the key",
    "c2vl.training.optimisers": "chooses by a parameter that is in the key",
    "c2vl.training.state": "resumes to the same bits (tests kill trainings at every step)",
    "c2vl.training.tracking": "draws curves while a training runs",
    "c2vl.training.training_params": "values are in the key",
}


def deciding(
    kind: Kind, encoder: str, objective: str | None = None, optimiser: str = "sgd"
) -> tuple[str, ...]:
    """The entries that decide a training of `kind` with `encoder` and `optimiser`, sorted.

    `encoder` and `objective` may be import paths of a user's own (docs/extend.md).
    """
    own = ENCODERS[encoder] if encoder in ENCODERS else (f"{USERS}{_module(encoder)}",)
    if objective is not None:
        own += ("c2vl.training.objective.imported", f"{USERS}{_module(objective)}")
    return tuple(sorted({*EVERY, *OWN[kind], *own, *OPTIMISERS[optimiser]}))


def _module(import_path: str) -> str:
    return import_path.partition(":")[0]


def code_hash(entries: Sequence[str]) -> str:
    """Hash of the code of `entries`. Moving a definition or renaming a module leaves it."""
    return _digest(sorted(statement for entry in entries for statement in _statements(entry)))


def code_by_entry(entries: Sequence[str]) -> dict[str, str]:
    """Hash of each entry's code, so that a change can be named."""
    return {entry: _digest(sorted(_statements(entry))) for entry in entries}


@cache
def _statements(entry: str) -> frozenset[str]:
    """The top-level statements of an entry as text."""
    module, _, name = entry.partition(":")
    found = {
        text
        for path in files_of(module)
        for node in _Plain().visit(parsed(path.read_text(encoding="utf-8"))).body
        if not name or getattr(node, "name", None) == name
        for text in _texts(node)
    }
    if not found:
        raise LookupError(f"c2vl/training/deciding.py: there is no code of {entry}")
    return frozenset(found)


def files_of(module: str) -> list[Path]:
    """The files of a module or a package; a package's harmless modules are left out.

    Raises:
        LookupError: there is no such module.
    """
    if module.startswith(USERS):
        return code_files(module.removeprefix(USERS))
    root = Path(c2vl.__file__).parent.parent
    stem = root.joinpath(*module.split("."))
    if stem.with_suffix(".py").is_file():
        return [stem.with_suffix(".py")]
    inside = {f"{module}.{path.stem}": path for path in stem.glob("*.py")}
    if not inside:
        raise LookupError(f"c2vl/training/deciding.py: there is no module {module}")
    return [path for name, path in sorted(inside.items()) if name not in HARMLESS]


def _texts(node: ast.stmt) -> Iterator[str]:
    """A top-level statement as text; imports name by name, however they are grouped."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        module = getattr(node, "module", None)
        for alias in node.names if module != "__future__" else ():
            yield f"{module}.{dump(alias)}"
    elif not _is_for_types(node) and not _is_params(node):
        yield dump(node)


def _is_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _is_params(node: ast.stmt) -> bool:
    """A section of params.yaml: its values are in the key, its descriptions are prose."""
    return isinstance(node, ast.ClassDef) and "ParamsModel" in map(ast.unparse, node.bases)


class _Plain(ast.NodeTransformer):
    """Takes out what says nothing of a result: our modules' paths, new names, texts of errors."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if node.module and node.module.split(".")[0] == c2vl.__name__:
            node.module = c2vl.__name__
        return self.generic_visit(node)

    def visit_alias(self, node: ast.alias) -> ast.AST:
        node.name = RENAMED.get(node.name, node.name)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = RENAMED.get(node.id, node.id)
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
        return node


def _digest(texts: Sequence[str]) -> str:
    return hashlib.blake2b("\n".join(texts).encode(), digest_size=16).hexdigest()
