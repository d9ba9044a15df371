"""Try a captioner when it is loaded: does it answer, and which crops may share a batch?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from c2vl.prompts.engines.model_inputs import group_by_shape
from c2vl.prompts.engines.sanity import trying

if TYPE_CHECKING:
    from c2vl.prompts.engines.captioner import CaptionerParams
    from c2vl.prompts.engines.model_inputs import Inputs

log = logging.getLogger(__name__)

# Height and width of the images. The first two have one shape. The others cost another number of
# tokens, for models whose least or greatest number of pixels is anywhere between.
SHAPES = ((90, 160), (90, 160), (64, 40), (640, 300), (200, 120))
# How far logits may differ, as a share of their standard deviation. Rounding stays far below in
# float32 and reaches some percent in half precision. A wrong mask or position moves them by more.
EXACT, HALF = 1e-2, 0.2


def answering(params: CaptionerParams, model: Any) -> AbstractContextManager[None]:
    """Turn every error of a captioner that is tried into a sentence."""
    return trying(
        f"'{params.model}' ({type(model).__name__})",
        "was loaded but cannot answer a question about an image",
        "if it is a chat model, set `caption.captioner.template: chat`",
    )


def trial_images() -> list[np.ndarray]:
    """Images of `SHAPES`, all noise."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in SHAPES]


class Together(Enum):
    """Which crops may share a batch."""

    LIKE = "prompts of like length, padded"
    EQUAL = "equal shapes"
    NONE = "none"


def find_together(
    ready: Sequence[Inputs], logits: Callable[[Sequence[Inputs]], Any], half: bool
) -> Together:
    """Find out which crops may share a batch without another answer.

    It compares the logits of items one by one with those of the items in one batch.

    Args:
        ready: the inputs of `trial_images`.
        logits: computes those of the first tokens for a batch, which it pads; (N, V) each.
        half: whether they are computed in half precision.

    Raises:
        Exception: what the model raises for an item alone.
    """
    alone = [logits([item]) for item in ready]
    most = HALF if half else EXACT
    if not _same(alone[:2], ready[:2], logits, most):
        log.info("captioner: a batch would change answers; crops are answered one by one")
        return Together.NONE
    if len(group_by_shape(ready)) == 1:
        return Together.EQUAL
    if not _same(alone, ready, logits, most):
        log.info("captioner: padding would change answers; only equal shapes share a batch")
        return Together.EQUAL
    return Together.LIKE


def _same(
    alone: Sequence[Any],
    ready: Sequence[Inputs],
    logits: Callable[[Sequence[Inputs]], Any],
    most: float,
) -> bool:
    try:
        return _agree(alone, logits(ready), most)
    except Exception as error:  # of every kind, because the model is not ours
        log.debug("captioner: a batch failed", exc_info=error)
        return False


def _agree(alone: Sequence[Any], together: Any, most: float) -> bool:
    """Whether logits are equal but for a share `most` of their standard deviation."""
    import torch

    ours = torch.stack([torch.cat(step) for step in zip(*alone, strict=True)], 1)  # (N, T, V)
    theirs = torch.stack(list(together), 1)
    apart = (ours - theirs).abs().amax(-1) / ours.std(-1)  # (N, T)
    # After another token all logits may differ; in half precision a tie may break either way.
    same_token = ours.argmax(-1) == theirs.argmax(-1)
    counts = torch.cat([torch.ones_like(same_token[:, :1]), same_token[:, :-1]], 1)
    return bool((apart[counts] <= most).all())
