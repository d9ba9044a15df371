"""Progressive control of α and the dynamic partition of a batch (section III-D of C²VL)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from c2vl.training.objective.objective_params import TWO_VIEWS, ObjectiveParams


def alpha_at(epoch: int, epochs: int, params: ObjectiveParams) -> float:
    """Return α of an epoch (from 0).

    It falls by a cosine from `alpha_start` in the first epoch to `alpha_end` in the last, or is
    constant (`progressive: false`). With one of the two targets alone there is nothing to
    balance: 1 for intra (or neither), 0 for inter. For `two_views` it is 1, as for InfoNCE.
    """
    if params.name == TWO_VIEWS:
        return 1.0
    if not (params.intra and params.inter):
        return 0.0 if params.inter else 1.0
    if not params.progressive:
        return params.alpha
    progress = epoch / max(1, epochs - 1)
    return (
        params.alpha_end
        + (params.alpha_start - params.alpha_end) * (1 + math.cos(math.pi * progress)) / 2
    )


def split_rows(batch: int, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Split the rows of a batch at random: ⌊αB⌋ for the intra targets, the rest for the inter ones.

    Drawn on the CPU (int64), so that processes with equally seeded generators split a global batch
    alike.
    """
    order = torch.randperm(batch, generator=generator)
    first = math.floor(alpha * batch + 1e-9)  # 0.7 * 10 is 6.999…
    return order[:first], order[first:]
