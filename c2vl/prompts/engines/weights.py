"""Find a checkpoint: from a local folder or a hub id to a folder and an identity."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from c2vl.core.errors import UserError
from c2vl.prompts.engines.file_digest import file_digest
from c2vl.prompts.engines.hub import OLD_WEIGHTS, fetch, looks_like_hub_id
from c2vl.prompts.engines.processor_files import absent, missing_processor
from c2vl.prompts.engines.weight_files import missing_weights

# Files that decide the outputs: weights, configs, tokenizers, chat templates. A README does not.
PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.model", "*.tiktoken", "*.jinja")


@dataclass(frozen=True)
class Weights:
    """A checkpoint ready to load.

    Attributes:
        name: as the user wrote it.
        folder: local folder with the files.
        identity: `sha:<commit>` of a hub model and what its snapshot lacks, or `files:<digest>` of
            a folder's contents.
    """

    name: str
    folder: Path
    identity: str


def resolve(model: str, revision: str | None = None, expects: tuple[str, ...] = ()) -> Weights:
    """Return the folder and identity of `model`; download a hub model that is not cached.

    Args:
        model: a folder, or `owner/name` on the hub.
        revision: of a hub model.
        expects: optional files that change outputs. Nobody can say offline whether a snapshot
            lacks one or its commit has none. So the identity of a hub model names those that are
            not there.

    Raises:
        UserError: there is no such folder, it is incomplete, or the hub does not answer within
            seconds.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        require_complete(folder, model)
        return Weights(model, folder, f"files:{directory_digest(folder)}")
    if not looks_like_hub_id(model):
        raise UserError(
            f"The checkpoint folder '{model}' does not exist; correct `model` in params.yaml or "
            "copy the folder there."
        )
    snapshot = fetch(model, revision, PATTERNS)
    require_complete(snapshot, model, old_weights=True)
    # The last part of a snapshot's path in the hub's cache is the commit.
    return Weights(model, snapshot, f"sha:{snapshot.name}{absent(snapshot, expects)}")


GROUNDINGDINO = "groundingdino-py 0.4.0"


def original_identity(model: str) -> str:
    """Identity of an original Grounding DINO file: the package that reads it and its digest.

    Raises:
        UserError: there is no such file.
    """
    path = Path(model).expanduser()
    if not path.is_file():
        raise UserError(
            f"`crop.detector.model` is '{model}', which is no file; "
            "the backend groundingdino wants an original .pth file there."
        )
    return f"{GROUNDINGDINO} file:{file_digest(path)}"


def require_complete(folder: Path, name: str, old_weights: bool = False) -> None:
    """Check that `folder` holds a config, all weights, a tokenizer and an image processor.

    Args:
        folder: of the checkpoint.
        name: as the user wrote it.
        old_weights: also accept `pytorch_model*.bin` instead of safetensors.

    Raises:
        UserError: something is missing.
    """
    if not (folder / "config.json").is_file():
        raise UserError(
            f"The checkpoint '{name}' has no config.json in {folder}; "
            "set `model` to a transformers checkpoint."
        )
    whole, sharded = folder / "model.safetensors", folder / "model.safetensors.index.json"
    old = old_weights and any(folder.glob(OLD_WEIGHTS))
    if not whole.is_file() and not sharded.is_file() and not old:
        raise UserError(
            f"The checkpoint '{name}' has no model.safetensors in {folder}, and only safetensors "
            "are loaded; convert it or name a `revision` that has them."
        )
    if missing := missing_weights(folder) or missing_processor(folder):
        raise UserError(
            f"The checkpoint '{name}' in {folder} is incomplete: {missing}; "
            "copy or download it again."
        )


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted({path for pattern in PATTERNS for path in folder.glob(pattern)}):
        if path.is_file():
            yield path


def directory_digest(folder: Path) -> str:
    """Hex blake2b of the names and bytes of the files in `folder` that decide its outputs."""
    digest = hashlib.blake2b(digest_size=16)
    for path in _files(folder):
        digest.update(f"{os.fsdecode(path.name)}\0{file_digest(path)}\n".encode())
    return digest.hexdigest()
