"""What is trained: a network, the inputs of a step, and the loss. `fit` does the rest."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from c2vl.training.curves import Epoch


class Task:
    """One kind of training.

    Attributes:
        network: what is trained and saved; `fit` may put other BatchNorm modules into it.
        rows: (N,) int64 on the CPU, the clips that may be trained on.
        what, advice: for the sentence that says that the loss is not a number.
    """

    network: nn.Module
    rows: Tensor
    what: str
    advice: str

    def inputs(self, rows: Tensor, own: slice, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Inputs of this process' part `own` of the global batch `rows` (B,), one row a clip each.

        Random numbers are drawn from `generator` for the whole batch: all processes draw alike.
        """
        raise NotImplementedError

    def outputs(self, network: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        """Outputs (b, …) of the network (perhaps wrapped) with gradient; one row per clip."""
        raise NotImplementedError

    def constants(self, inputs: tuple[Tensor, ...], outputs: Tensor) -> Tensor:
        """What else the loss needs, (b, …) without gradient: a teacher's outputs.

        By default these are the student's.
        """
        return outputs.detach()

    def loss(
        self, outputs: Tensor, constants: Tensor, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Loss of the global batch, a scalar, and a vector of diagnostics without gradient.

        Args:
            outputs: of the global batch, (B, …).
            constants: of the global batch, (B, …).
            rows: (B,) clips of the batch, on the CPU.
            generator: the one given to `inputs`.
        """
        raise NotImplementedError

    def row(self, epoch: int, rate: float, means: list[float]) -> Epoch:
        """Row of the curves for an epoch, from the means of loss and diagnostics over its steps."""
        raise NotImplementedError

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups of the optimiser that are not in the network (see `schedule.sgd`)."""
        return []

    def ready(self) -> None:
        """Called once, when the network is ready for training on its device."""

    def begin_epoch(self, epoch: int) -> None:
        """Called before the first step of an epoch (from 0), also of a resumed one."""

    def after_step(self) -> None:
        """Called after every optimiser step."""

    def after_epoch(self) -> None:
        """Called after every epoch."""

    def state(self) -> dict[str, Any]:
        """What resuming needs besides the network: tensors and plain values."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Load what `state` returned; the network has its weights already."""
