"""The teacher that makes the soft targets: the network itself, a copy of it or its average."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from c2vl.training.objective.embeddings import AlignedEncoder, Embeddings


class Teacher:
    """Embeds a batch for the targets. This one reuses the student's result; subclasses keep a copy.

    Reusing it costs nothing. It is what Eq. 4-10 say, apart from section III-D's "updated at each
    epoch by the teacher network".
    """

    def embed(self, x: Tensor, prompts: Mapping[str, Tensor], student: Embeddings) -> Embeddings:
        """Embeddings of the batch as constants."""
        return student.detach()

    def after_step(self, network: AlignedEncoder) -> None:
        """Update the teacher; the loop calls this after every optimiser step."""

    def after_epoch(self, network: AlignedEncoder) -> None:
        """Update the teacher; the loop calls this after every epoch."""

    def state(self) -> dict[str, Tensor]:
        """Weights of the teacher's own network; empty while it has none."""
        return {}

    def restore(self, state: dict[str, Tensor], network: AlignedEncoder) -> None:
        """Load what `state` returned; `network` is the student."""


class EpochTeacher(Teacher):
    """The network at the end of the last epoch; during the first epoch, the student itself.

    Its BatchNorm uses the batch's statistics, as the student's does: both see the same view of the
    same clips.
    """

    def __init__(self) -> None:
        self.network: AlignedEncoder | None = None

    @torch.no_grad()
    def embed(self, x: Tensor, prompts: Mapping[str, Tensor], student: Embeddings) -> Embeddings:
        """Embeddings by the copy; in the first epoch, the student's as constants."""
        return self.network(x, prompts) if self.network is not None else student.detach()

    def after_epoch(self, network: AlignedEncoder) -> None:
        """Copy the network."""
        self.network = _frozen_copy(network)

    def state(self) -> dict[str, Tensor]:
        """Weights of the copy; empty in the first epoch."""
        return dict(self.network.state_dict()) if self.network is not None else {}

    def restore(self, state: dict[str, Tensor], network: AlignedEncoder) -> None:
        """Load the weights that `state` returned into a copy of `network`."""
        if state:
            self.network = _frozen_copy(network)
            self.network.load_state_dict(state)


class EmaTeacher(EpochTeacher):
    """An exponential moving average of the network's parameters over the steps."""

    def __init__(self, network: AlignedEncoder, decay: float) -> None:
        super().__init__()
        self.network: AlignedEncoder = _frozen_copy(network)
        self.decay = decay

    @torch.no_grad()
    def after_step(self, network: AlignedEncoder) -> None:
        """Move the average towards the network's parameters."""
        for mine, theirs in zip(self.network.parameters(), network.parameters(), strict=True):
            mine.lerp_(theirs, 1 - self.decay)

    def after_epoch(self, network: AlignedEncoder) -> None:
        """Do nothing: the average continues over epochs."""


def make_teacher(
    kind: Literal["self", "epoch", "ema"], network: AlignedEncoder, ema_decay: float
) -> Teacher:
    """Return the teacher of that kind for a network at the start of its training."""
    if kind == "ema":
        return EmaTeacher(network, ema_decay)
    return EpochTeacher() if kind == "epoch" else Teacher()


def _frozen_copy(network: AlignedEncoder) -> AlignedEncoder:
    """A copy that is not trained: batch statistics in BatchNorm, no dropout."""
    frozen = copy.deepcopy(network).requires_grad_(False).train()
    for module in frozen.modules():
        if isinstance(module, torch.nn.Dropout):
            module.eval()
    return frozen
