"""What a training needs to resume: its place, network, optimiser, random numbers and curves."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from c2vl.training.curves import Epoch
from c2vl.training.task import Task


@dataclass
class Progress:
    """Where a training is: `step` steps of epoch `epoch` (from 0) are done.

    `order` (N,) is the epoch's order of the clips; `sums` adds up its loss and diagnostics.
    """

    epoch: int
    step: int
    order: Tensor
    sums: Tensor | None


@dataclass
class LastGood:
    """The network on the CPU after `epochs` epochs, the last with finite weights."""

    weights: dict[str, Tensor]
    epochs: int

    @classmethod
    def of(cls, network: nn.Module, epochs: int) -> LastGood | None:
        """Return a copy of the network; None if a weight is not finite."""
        weights = {
            name: value.detach().cpu().clone() for name, value in network.state_dict().items()
        }
        finite = all(bool(value.isfinite().all()) for value in weights.values())
        return cls(weights, epochs) if finite else None


@dataclass
class TrainingState:
    """All that changes while a training runs.

    Attributes:
        average: of the weights, where `weight_average` asks for one.
        generator: of the order of the clips and of their views.
        at: None between two epochs.
        curves: a row for each epoch that is done.
    """

    task: Task
    optimiser: torch.optim.Optimizer
    average: AveragedModel | None
    generator: torch.Generator
    at: Progress | None = None
    curves: list[Epoch] = field(default_factory=list)
    good: LastGood | None = None

    def dump(self) -> dict[str, Any]:
        """The state as tensors and plain values."""
        assert self.at is not None
        average, good = self.average, self.good
        return {
            "at": {name: getattr(self.at, name) for name in ("epoch", "step", "order", "sums")},
            "network": self.task.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "task": self.task.state(),
            "average": average.state_dict() if average is not None else None,
            "generator": self.generator.get_state(),
            "curves": [asdict(row) for row in self.curves],
            "good": {"weights": good.weights, "epochs": good.epochs} if good else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Load what `dump` returned."""
        self.task.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.task.restore(state["task"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.generator.set_state(state["generator"])
        self.at = Progress(**state["at"])
        if self.at.sums is not None:
            self.at.sums = self.at.sums.to(next(self.task.network.parameters()).device)
        self.curves = [Epoch(**row) for row in state["curves"]]
        self.good = LastGood(**state["good"]) if state["good"] else None
