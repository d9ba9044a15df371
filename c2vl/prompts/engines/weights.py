"""Where a checkpoint is, and which one it is: a local directory or a hub id, to a folder and an identity."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from c2vl.core.errors import UserError
from c2vl.prompts.engines.file_digest import file_digest
from c2vl.prompts.engines.hub import OLD_WEIGHTS, fetch, looks_like_hub_id
from c2vl.prompts.engines.weight_files import missing_weights

# What decides the outputs: weights, configs, tokenizers, chat templates. A README beside them does not.
PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")


@dataclass(frozen=True)
class Weights:
    """A checkpoint ready to load.

    Attributes:
        name: what the user wrote.
        folder: local directory with the files.
        identity: `sha:<commit>` of a hub model, or `files:<digest>` of a directory's contents.
    """

    name: str
    folder: Path
    identity: str


def resolve(model: str, revision: str | None = None) -> Weights:
    """Return the folder and identity of `model`, fetching a hub model that is not in the local cache.

    Raises:
        UserError: there is no such directory, it is incomplete, or the hub does not answer within seconds.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        require_complete(folder, model)
        return Weights(model, folder, f"files:{directory_digest(folder)}")
    if not looks_like_hub_id(model):
        raise UserError(
            f"The checkpoint directory '{model}' does not exist; mend `model` in params.yaml or fetch the directory."
        )
    snapshot = fetch(model, revision, PATTERNS)
    require_complete(snapshot, model, old_weights=True)
    # The last part of a snapshot's path in the hub's cache is the commit.
    return Weights(model, snapshot, f"sha:{snapshot.name}")


GROUNDINGDINO = "groundingdino-py 0.4.0"


def original_identity(model: str) -> str:
    """Identity of one of Grounding DINO's original files, with the package that reads it.

    Raises:
        UserError: it is not there.
    """
    path = Path(model).expanduser()
    if not path.is_file():
        raise UserError(
            f"`crop.detector.model` is '{model}', but the backend groundingdino wants an original .pth file there."
        )
    return f"{GROUNDINGDINO} file:{file_digest(path)}"


def require_complete(folder: Path, name: str, old_weights: bool = False) -> None:
    """Raise a `UserError` unless `folder` holds a config and all safetensors, or with `old_weights` the old format's."""
    if not (folder / "config.json").is_file():
        raise UserError(
            f"The checkpoint '{name}' has no config.json in {folder}; point `model` at a transformers checkpoint."
        )
    whole, sharded = folder / "model.safetensors", folder / "model.safetensors.index.json"
    old = old_weights and any(folder.glob(OLD_WEIGHTS))
    if not whole.is_file() and not sharded.is_file() and not old:
        raise UserError(
            f"The checkpoint '{name}' has no model.safetensors in {folder}; only safetensors are loaded, "
            "so convert it or name a `revision` that has them."
        )
    if missing := missing_weights(folder):
        raise UserError(
            f"The checkpoint '{name}' in {folder} is incomplete: {missing}; copy or download it again."
        )


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted({path for pattern in PATTERNS for path in folder.glob(pattern)}):
        if path.is_file():
            yield path


def directory_digest(folder: Path) -> str:
    """Digest of the names and bytes of the files in `folder` that decide its outputs; its path does not count."""
    digest = hashlib.blake2b(digest_size=16)
    for path in _files(folder):
        digest.update(f"{os.fsdecode(path.name)}\0{file_digest(path)}\n".encode())
    return digest.hexdigest()
