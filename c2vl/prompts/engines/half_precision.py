"""Half precision where it is sound: tried on one picture when an engine is loaded, not believed.

Grounding DINO has crashed, or computed nonsense, in half precision in one release of transformers and not in the next. What
a key promises is the format that `dtype` names *or a more exact one*: the key must be known without loading a model and be
the same on every machine, so a fallback to float32 is said in the log and does not change it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

SCORE, BOX, BEST = (
    0.05,
    0.05,
    3,
)  # largest difference of a score, of a box's corner (share of the image), in the best few


def half_precision_fault(
    model: Any, dtype: torch.dtype, run: Callable[[Any], tuple[torch.Tensor, torch.Tensor]]
) -> str:
    """Convert `model` from float32 to `dtype` and say what is wrong with it then; empty when nothing is.

    Args:
        model: in float32; afterwards in `dtype`.
        dtype: float16 or bfloat16.
        run: computes scores (Q,) and boxes (Q, 4), shares of the image, of one picture in the model's own format.
    """
    import torch

    scores, boxes = run(model)
    model.to(dtype)
    try:
        half_scores, half_boxes = run(model)
    except RuntimeError as error:
        return f"it fails ({' '.join(str(error).split())[:120]})"
    if not (torch.isfinite(half_scores).all() and torch.isfinite(half_boxes).all()):
        return "it computes numbers that are not finite"
    best = scores.topk(min(BEST, len(scores))).indices
    worst_score = (
        (scores.sort(descending=True).values - half_scores.sort(descending=True).values)[
            : len(best)
        ]
        .abs()
        .max()
        .item()
    )
    if worst_score > SCORE:
        return f"its scores differ from float32's by {worst_score:.2g}"
    # Queries may come in another order: each of the best boxes must be among the others'.
    apart = (boxes[best][:, None] - half_boxes[None]).abs().amax(-1).amin(1).max().item()
    return f"its boxes differ from float32's by {apart:.2g} of the image" if apart > BOX else ""


def example_image() -> np.ndarray:
    """Something upright before a wall that grows lighter, (240, 320, 3) uint8 RGB."""
    picture = np.full((240, 320, 3), 160, np.uint8)
    picture += np.arange(0, 64, 0.2).astype(np.uint8)[None, :, None]
    picture[60:90, 145:175] = 205, 160, 130
    picture[90:160, 135:185] = 150, 40, 40
    picture[160:230, 140:180] = 30, 40, 80
    return picture
