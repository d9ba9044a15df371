"""Read the config of a checkpoint, which says what kind of model it is."""

from __future__ import annotations

from typing import Any

from c2vl.core.errors import UserError
from c2vl.prompts.engines.processors import OFFLINE
from c2vl.prompts.engines.weights import Weights


def read_config(weights: Weights) -> Any:
    """The config of a checkpoint, as transformers reads it; no code of the checkpoint runs.

    Raises:
        UserError: transformers has no such kind of model, or cannot read the file.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(str(weights.folder), **OFFLINE)
    except Exception as error:  # each kind of model checks its config in its own way
        raise UserError(
            f"The config.json of '{weights.name}' cannot be read ({first_words(error)}); use a "
            "checkpoint that transformers can load without code of its own."
        ) from error


def named(config: Any) -> str:
    """The class that a checkpoint's config names, such as `CLIPModel`."""
    return str((getattr(config, "architectures", None) or [config.model_type])[0])


def first_words(error: Exception) -> str:
    """An error of transformers in at most 200 characters and one line."""
    text = " ".join(str(error).split())
    if "torchvision" in text.lower():
        return "its processor needs torchvision, which is not used here"
    return f"{type(error).__name__}: {text}"[:200].rstrip(": ")
