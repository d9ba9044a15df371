"""The oracle: soft targets from the true labels. It shows how much better targets could be."""

from __future__ import annotations

import torch
from torch import nn

from c2vl.training.objective.cross_entropy import Objective, cross_entropy, log_rho
from c2vl.training.objective.embeddings import Embeddings, Known
from c2vl.training.objective.temperature import Temperature


class Oracle(nn.Module):
    """Align each skeleton with the prompts of all clips of its class in the batch.

    For each kind of prompt X, with y the true labels:

        L^{sx} = H(O, ρ(S Xᵀ/τ)) + H(O, ρ(X Sᵀ/τ)),   O_ij = [y_i = y_j] / |{k : y_i = y_k}|

    No parameter chooses it, so that no result can come from it: only experiments train it, as the
    method `oracle` (`c2vl.training.methods.train`), and tables show it under that name.

    Args:
        temperature: τ at the start.
        learnable_temperature: whether τ is trained, see `Temperature`.
    """

    def __init__(self, temperature: float = 0.07, learnable_temperature: bool = False) -> None:
        super().__init__()
        self.temperature = Temperature(temperature, learnable_temperature)

    def forward(
        self, student: Embeddings, teacher: Known, alpha: float, generator: torch.Generator
    ) -> Objective:
        """Return the loss of a batch whose labels are `teacher.labels`; the rest is not used."""
        assert teacher.labels is not None
        same = (teacher.labels[:, None] == teacher.labels).to(student.skeleton)
        targets = same / same.sum(1, keepdim=True)
        mean = same.new_full((len(same),), 1 / len(same))
        loss = cross_entropy(targets, log_rho(student, self.temperature()), mean)
        entropy = torch.special.entr(targets).sum(1).mean()
        return Objective(loss, targets.diagonal().mean(), entropy)
