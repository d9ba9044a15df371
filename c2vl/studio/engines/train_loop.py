"""The training loop of all engines: AdamW, with warm-up and cosine decay over a budget."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)
Losses = dict[str, "torch.Tensor"]


@dataclass
class Budget:
    """How long to train: a number of steps, or minutes of this process's processor time.

    Processor time gives the same number of steps on a machine that others use too; wall time
    does not.
    """

    steps: int | None = None
    minutes: float | None = None
    _began: float = field(default_factory=time.process_time)

    def spent(self, step: int) -> float:
        """Share of the budget used before `step` (the first is 0), in 0…1.

        Raises:
            ValueError: the budget has neither steps nor minutes.
        """
        if self.steps is not None:
            return min(1.0, step / self.steps)
        if self.minutes is None:
            raise ValueError("a budget needs steps or minutes")
        return min(1.0, self.used_minutes() / self.minutes)

    def used_minutes(self) -> float:
        """Processor minutes since the budget was created."""
        return (time.process_time() - self._began) / 60


def rate_at(spent: float, step: int, peak: float, warmup: int = 100, floor: float = 0.01) -> float:
    """Learning rate: linear to `peak` in `warmup` steps, then a cosine down to `floor` of it."""
    return peak * min(1.0, (step + 1) / warmup) * max(floor, 0.5 * (1 + math.cos(math.pi * spent)))


def train(
    name: str,
    parameters: Iterable[torch.nn.Parameter],
    losses: Callable[[], Losses],
    budget: Budget,
    rate: float,
    weight_decay: float,
    checkpoint: Callable[[], None] | None = None,
    every_minutes: float = 5.0,
) -> dict[str, float]:
    """Minimise the sum of `losses()`.

    Args:
        name: name in the progress lines.
        parameters: the weights to train.
        losses: draws a batch and returns its named loss terms.
        budget: how long to train.
        rate: largest learning rate.
        weight_decay: of weights with more than one dimension.
        checkpoint: called from time to time, so that weights can be used before the end.
        every_minutes: processor minutes between two checkpoints.

    Returns:
        `steps`, `processor_minutes` and the running mean of each loss.
    """
    import torch

    weights = list(parameters)
    decayed = [weight for weight in weights if weight.dim() > 1]
    plain = [weight for weight in weights if weight.dim() <= 1]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=rate)
    means: dict[str, float] = {}
    step, next_note, next_checkpoint = 0, 0.5, every_minutes
    while (spent := budget.spent(step)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = rate_at(spent, step, rate)
        terms = losses()
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        step += 1
        for key, value in terms.items():
            means[key] = (
                value.item() if key not in means else 0.98 * means[key] + 0.02 * value.item()
            )
        if budget.used_minutes() >= next_note:
            next_note = budget.used_minutes() + 1
            text = " ".join(f"{key} {value:.3f}" for key, value in means.items())
            pace = 60_000 * budget.used_minutes() / step
            used = budget.used_minutes()
            log.info("%s: %.1f min, step %d (%.0f ms), %s", name, used, step, pace, text)
        if checkpoint is not None and budget.used_minutes() >= next_checkpoint:
            checkpoint()
            next_checkpoint = budget.used_minutes() + every_minutes
    return {
        "steps": step,
        "processor_minutes": round(budget.used_minutes(), 2),
        **{k: round(v, 4) for k, v in means.items()},
    }
