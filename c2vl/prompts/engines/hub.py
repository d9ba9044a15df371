"""Models of the Hugging Face hub: from the local cache when they are there, else fetched; never a long wait.

Without network, `from_pretrained` of a hub id retries for over two minutes. Here the hub is asked once, for
the commit that a revision names, and has a few seconds to answer; only then does a download begin.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path

from c2vl.core.errors import UserError
from c2vl.prompts.engines.weight_files import missing_weights

ANSWER_WITHIN = 6.0  # seconds
HUB_ID = re.compile(r"[A-Za-z0-9][\w.\-]*(/[\w.\-]+)?")


def looks_like_hub_id(model: str) -> bool:
    """Whether `model` has the form `owner/name` (or an old `name`), which no path with a dot or two slashes has."""
    return HUB_ID.fullmatch(model) is not None


OLD_WEIGHTS = "pytorch_model*.bin"  # what repositories had before safetensors; CLIP ViT-L/14@336px has nothing else


def cached(model: str, revision: str | None, needs: str = "") -> Path | None:
    """The snapshot folder of a hub model in the local cache, or None if it is not all there; asks no network.

    Args:
        model: its id.
        revision: branch, tag or commit; None is the default branch.
        needs: the file that is wanted of it; empty: weights, all of them, and their config.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(model, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, ValueError):
        return None
    if needs:
        return folder if (folder / needs).is_file() else None
    weights = any(folder.glob("*.safetensors")) or any(folder.glob(OLD_WEIGHTS))
    # A download that was stopped leaves a snapshot with some of the files; it is to be gone on with.
    return (
        folder
        if weights and (folder / "config.json").is_file() and not missing_weights(folder)
        else None
    )


def fetch(model: str, revision: str | None, patterns: tuple[str, ...], needs: str = "") -> Path:
    """Return the snapshot folder of a hub model (its name is the commit), downloading what is missing.

    A revision that is in the local cache is used as it is, without asking whether the hub has a newer one:
    the same params must give the same outputs until the user changes them.

    Args:
        model: as of `cached`.
        revision: as of `cached`.
        patterns: of the names of files to download.
        needs: as of `cached`.

    Raises:
        UserError: not in the cache and offline, no answer within seconds, or no such model or revision.
    """
    from huggingface_hub import constants, snapshot_download

    found = cached(model, revision, needs)
    if found is not None:
        return found
    if constants.HF_HUB_OFFLINE:
        raise UserError(
            f"The model '{model}' is not in the local Hugging Face cache and HF_HUB_OFFLINE is set; "
            "download it first or set `model` to a local directory."
        )
    commit, files = _ask(model, revision)
    # Weights are 1 to 15 GB: the old format only where there is no other.
    old = not needs and not any(name.endswith(".safetensors") for name in files)
    wanted = [*patterns, OLD_WEIGHTS] if old else list(patterns)
    try:
        return Path(
            snapshot_download(
                model, revision=commit, allow_patterns=wanted, etag_timeout=ANSWER_WITHIN
            )
        )
    except Exception as error:
        raise UserError(
            f"Downloading the model '{model}' failed ({_short(error)}); run again to continue where it stopped."
        ) from error


def _ask(model: str, revision: str | None) -> tuple[str, list[str]]:
    """The commit `revision` names and its files, asked in a thread: name resolution alone can outlast any timeout."""
    from huggingface_hub import HfApi

    result: list[tuple[str, list[str]] | Exception] = []

    def ask() -> None:
        try:
            told = HfApi().model_info(model, revision=revision, timeout=ANSWER_WITHIN)
            result.append((str(told.sha), [file.rfilename for file in told.siblings or []]))
        except Exception as error:
            result.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_WITHIN)
    if not result:
        raise UserError(_unreachable(model, f"no answer within {ANSWER_WITHIN:.0f} s"))
    if isinstance(result[0], tuple):
        return result[0]
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    error = result[0]
    if isinstance(error, GatedRepoError):
        raise UserError(
            f"The model '{model}' is gated: accept its terms on the hub and log in, or use another."
        ) from error
    if isinstance(error, RepositoryNotFoundError):
        raise UserError(
            f"'{model}' is neither a local directory nor a model on the hub that this account can read; "
            "mend `model` in params.yaml."
        ) from error
    if isinstance(error, RevisionNotFoundError):
        raise UserError(
            f"The model '{model}' has no revision '{revision}'; mend `revision` in params.yaml."
        ) from error
    raise UserError(_unreachable(model, _short(error))) from error


def _unreachable(model: str, why: str) -> str:
    return (
        f"The model '{model}' is neither a local directory nor in the local Hugging Face cache, and the hub cannot be "
        f"reached ({why}); connect, download it first, or set `model` to a local directory."
    )


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
