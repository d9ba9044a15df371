"""Stop an engine that fails, or computes the same for everything, before results are kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from c2vl.core.errors import UserError
from c2vl.prompts.engines.batching import out_of_memory
from c2vl.prompts.engines.checkpoint_config import first_words

SENTENCES = (  # they differ from the first letter on: a small context may end after a few
    "a cup is in the hand of the person",
    "reading a book, the person sits on a chair",
    "people shake hands",
)


@contextmanager
def trying(name: str, cannot: str, instead: str) -> Iterator[None]:
    """Turn every error of a model or its processor into a sentence, because they are not ours.

    Args:
        name: of the checkpoint and its class, for people.
        cannot: what the model cannot do, such as `cannot be used as an encoder here`.
        instead: what to do.

    Raises:
        UserError: instead of any error.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        why = first_words(error)
        if isinstance(error, RuntimeError) and out_of_memory(error):
            raise UserError(
                f"{name} does not fit into the memory of this device ({why}); end other programs "
                "that use it, or set `dtype: bfloat16`."
            ) from error
        raise UserError(f"{name} {cannot} ({why}); {instead}.") from error


def require_words(model: str, tokenizer: Any, text: str) -> None:
    """Check that the tokenizer knows words of `text`.

    Args:
        model: name of the checkpoint.
        tokenizer: of transformers.
        text: what the engine will be asked, without placeholders.

    Raises:
        UserError: all tokens are unknown or special ones.
    """
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if set(ids) <= set(tokenizer.all_special_ids):
        raise UserError(
            f"The tokenizer of '{model}' knows no word of {' '.join(text.split())[:60]!r} "
            f"(its vocabulary has {len(tokenizer):,} entries); its files are incomplete: copy or "
            "download the checkpoint again."
        )


def require_difference(model: str, features: np.ndarray, what: str) -> None:
    """Check that the features of different inputs are not all one point.

    Args:
        model: name of the checkpoint.
        features: of different inputs, (N, d).
        what: the inputs, for people.

    Raises:
        UserError: they are, or they are no numbers.
    """
    if not np.isfinite(features).all():
        raise UserError(
            f"The features of {what} by '{model}' are no finite numbers; set `dtype: float32`, or "
            "copy or download the checkpoint again."
        )
    if (features == features[0]).all():
        raise UserError(
            f"The encoder '{model}' gives different {what} the same features; its files are "
            "incomplete or of different models: copy or download the checkpoint again."
        )
