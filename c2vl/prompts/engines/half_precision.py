"""Test whether a detector computes the same in half precision as in float32.

Grounding DINO has crashed, or computed nonsense, in half precision in some releases of
transformers. So an engine is tested on one image when it is loaded. Its key promises the format
that `dtype` names *or a more exact one*: the key must be known without loading the model and must
be the same on every machine. A fallback to float32 is logged and does not change the key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

MAX_SCORE_DIFFERENCE = 0.05
MAX_BOX_DIFFERENCE = 0.05  # of a corner, as a share of the image
COMPARED = 3  # best detections that are compared


def half_precision_fault(
    model: Any, dtype: torch.dtype, run: Callable[[Any], tuple[torch.Tensor, torch.Tensor]]
) -> str:
    """Convert `model` from float32 to `dtype`; return what is wrong with its results, or "".

    Args:
        model: in float32; afterwards in `dtype`.
        dtype: float16 or bfloat16.
        run: computes scores (Q,) and boxes (Q, 4) of one image in the model's own format; boxes
            are shares of the image.
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
    best = scores.topk(min(COMPARED, len(scores))).indices
    ranked, half_ranked = (values.sort(descending=True).values for values in (scores, half_scores))
    worst_score = (ranked - half_ranked)[: len(best)].abs().max().item()
    if worst_score > MAX_SCORE_DIFFERENCE:
        return f"its scores differ from float32's by {worst_score:.2g}"
    # Detections may come in another order: each of the best boxes must be among the others'.
    worst_box = (boxes[best][:, None] - half_boxes[None]).abs().amax(-1).amin(1).max().item()
    if worst_box > MAX_BOX_DIFFERENCE:
        return f"its boxes differ from float32's by {worst_box:.2g} of the image"
    return ""


def example_image() -> np.ndarray:
    """An upright figure before a wall that grows lighter, (240, 320, 3) uint8 RGB."""
    image = np.full((240, 320, 3), 160, np.uint8)
    image += np.arange(0, 64, 0.2).astype(np.uint8)[None, :, None]
    image[60:90, 145:175] = 205, 160, 130
    image[90:160, 135:185] = 150, 40, 40
    image[160:230, 140:180] = 30, 40, 80
    return image
