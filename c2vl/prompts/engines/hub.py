"""Models of the Hugging Face hub: from the local cache, else downloaded, without a long wait.

Without network, `from_pretrained` of a hub id retries for over two minutes. Here the hub is asked
once which commit a revision names, and has a few seconds to answer. Then the download begins.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path

from c2vl.core.errors import UserError
from c2vl.prompts.engines.processor_files import missing_processor
from c2vl.prompts.engines.weight_files import missing_weights

ANSWER_WITHIN = 6.0  # seconds
# What repositories had before safetensors; CLIP ViT-L/14@336px has nothing else.
OLD_WEIGHTS = "pytorch_model*.bin"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.\-]*(/[\w.\-]+)?")


def looks_like_hub_id(model: str) -> bool:
    """Whether `model` has the form `owner/name`, or the old form `name`.

    A path that begins with a dot or a slash, or has two slashes, does not.
    """
    return HUB_ID.fullmatch(model) is not None


def cached(model: str, revision: str | None, needs: str = "") -> Path | None:
    """Find the snapshot folder of a hub model in the local cache, without the network.

    Args:
        model: its id.
        revision: branch, tag or commit; None is the default branch.
        needs: the one file that is needed; "" needs the config, all weights, a tokenizer and an
            image processor.

    Returns:
        The folder, or None if something is missing.
    """
    folder = _snapshot(model, revision)
    if folder is None:
        return None
    if needs:
        return folder if (folder / needs).is_file() else None
    return None if _missing(folder) else folder


def missing_in_cache(model: str, revision: str | None) -> str:
    """What the snapshot in the local cache lacks; "" where there is no snapshot, or all of it."""
    folder = _snapshot(model, revision)
    return "" if folder is None else _missing(folder)


def _missing(folder: Path) -> str:
    """What a snapshot lacks; a download that was stopped leaves a part of the files."""
    if not (folder / "config.json").is_file():
        return "config.json is not there"
    if not any(folder.glob("*.safetensors")) and not any(folder.glob(OLD_WEIGHTS)):
        return "its weights are not there"
    return missing_weights(folder) or missing_processor(folder)


def _snapshot(model: str, revision: str | None) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, ValueError):
        return None


def fetch(model: str, revision: str | None, patterns: tuple[str, ...], needs: str = "") -> Path:
    """Return the snapshot folder of a hub model, and download what is missing.

    The folder's name is the commit. A revision in the local cache is used as it is, without asking
    whether the hub has a newer one: equal parameters give equal outputs.

    Args:
        model, revision, needs: as for `cached`.
        patterns: names of the files to download.

    Raises:
        UserError: the model is not cached, and the hub is offline, does not answer within seconds,
            or has no such model or revision.
    """
    from huggingface_hub import constants, snapshot_download

    found = cached(model, revision, needs)
    if found is not None:
        return found
    if constants.HF_HUB_OFFLINE:
        lacks = missing_in_cache(model, revision)
        where = f"incomplete ({lacks})" if lacks and not needs else "not"
        raise UserError(
            f"The model '{model}' is {where} in the local Hugging Face cache and HF_HUB_OFFLINE is "
            f"set; download it first (`hf download {model}`) or set `model` to a local folder."
        )
    commit, files = _ask(model, revision)
    # Weights are 1 to 15 GB, so the old format is downloaded only where there is no other.
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
            f"Downloading the model '{model}' failed ({_short(error)}); "
            "run again to continue where it stopped."
        ) from error


def _ask(model: str, revision: str | None) -> tuple[str, list[str]]:
    """Ask the hub for the commit that `revision` names, and its files.

    A thread asks, because name resolution alone can take longer than any timeout.
    """
    from huggingface_hub import HfApi

    result: list[tuple[str, list[str]] | Exception] = []

    def ask() -> None:
        try:
            info = HfApi().model_info(model, revision=revision, timeout=ANSWER_WITHIN)
            result.append((str(info.sha), [file.rfilename for file in info.siblings or []]))
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
            f"The model '{model}' is gated; accept its terms on the hub and run `hf auth login`, "
            "or use another model."
        ) from error
    if isinstance(error, RepositoryNotFoundError):
        raise UserError(
            f"'{model}' is neither a local folder nor a model on the hub that this account can "
            "read; correct `model` in params.yaml."
        ) from error
    if isinstance(error, RevisionNotFoundError):
        raise UserError(
            f"The model '{model}' has no revision '{revision}'; correct `revision` in params.yaml."
        ) from error
    raise UserError(_unreachable(model, _short(error))) from error


def _unreachable(model: str, why: str) -> str:
    return (
        f"The model '{model}' is neither a local folder nor in the local Hugging Face cache, and "
        f"the hub cannot be reached ({why}); connect to the network, download it first, or set "
        "`model` to a local folder."
    )


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
