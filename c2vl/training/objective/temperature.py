"""The temperature τ of the logits: fixed, or learnt within bounds."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

BOUNDS = (0.01, 1.0)  # CLIP clamps at 0.01; above 1 cosines are all but uniform


class Temperature(nn.Module):
    """τ = exp(`log`), clamped to 0.01 … 1 where it is learnt.

    Give `log` an optimiser group without weight decay and with its own rate: decay pulls the
    logarithm to 0, τ to 1, and the network's rate of 0.1 lets τ run away within an epoch.

    Args:
        start: τ at the start.
        learnable: whether `log` is trained.

    Raises:
        ValueError: `start` is not positive.
    """

    def __init__(self, start: float, learnable: bool) -> None:
        super().__init__()
        if start <= 0:
            raise ValueError(f"the temperature must be positive, not {start}")
        self.log = nn.Parameter(torch.tensor(math.log(start)), requires_grad=learnable)

    @property
    def learnt(self) -> nn.Parameter:
        """What is trained."""
        return self.log

    def forward(self) -> Tensor:
        """τ as a scalar tensor."""
        return self.log.exp().clamp(*BOUNDS) if self.log.requires_grad else self.log.exp()

    @torch.no_grad()
    def clamp_(self) -> None:
        """Bring `log` back within the bounds, after a step: beyond them it has no gradient."""
        if self.log.requires_grad:
            self.log.clamp_(math.log(BOUNDS[0]), math.log(BOUNDS[1]))


class LinearTemperature(Temperature):
    """τ = 1 / `scale`: the cosines are multiplied by a learnt number, without exp, as in GAP.

    GAP trains it with the network's rate and weight decay, which pulls the scale to 0 and τ up.
    """

    def __init__(self, start: float) -> None:
        super().__init__(start, learnable=False)
        self.scale = nn.Parameter(torch.tensor(1 / start))

    @property
    def learnt(self) -> nn.Parameter:
        """The scale."""
        return self.scale

    def forward(self) -> Tensor:
        """τ as a scalar tensor."""
        return 1 / self.scale

    @torch.no_grad()
    def clamp_(self) -> None:
        """Keep τ within the bounds."""
        self.scale.clamp_(1 / BOUNDS[1], 1 / BOUNDS[0])
