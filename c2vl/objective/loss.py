"""The C²VL objective (Eq. 11-13): two softened targets, a partitioned batch, progressive control."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from c2vl.objective.embeddings import Embeddings
from c2vl.objective.infonce import cross_entropy, logits
from c2vl.objective.params import ObjectiveParams
from c2vl.objective.partition import split_rows
from c2vl.objective.targets import inter_target, intra_target
from c2vl.objective.temperature import Temperature


@dataclass(frozen=True)
class Objective:
    """The loss of a batch, with what tells a collapse of its targets: scalars, the last two without gradient.

    `diagonal` is the mean mass of the targets' rows in use on the true pair (1: hard targets), `entropy` their mean
    entropy in nats (log B: uniform).
    """

    loss: Tensor
    diagonal: Tensor
    entropy: Tensor


class C2VLLoss(nn.Module):
    """L_Soft = L^{sv} + L^{sl} (Eq. 11), each
    α [H(P^{s2x}, ρ(S̄ Xᵀ)) + H(P^{x2s}, ρ(X̄ Sᵀ))] + (1 - α) [H(Q^{s2x}, ρ(S̲ Xᵀ)) + H(Q^{x2s}, ρ(X̲ Sᵀ))] (Eq. 12, 13).

    The barred rows are the first part of the batch, the underlined ones the rest; the columns are the whole batch
    (with several devices: give it the gathered, global batch). Without `partition` both parts are all rows; with one
    target alone it applies to all rows; with neither the targets are hard and this is InfoNCE (Eq. 1-3).
    """

    def __init__(self, params: ObjectiveParams) -> None:
        super().__init__()
        self.params = params
        self.temperature = Temperature(params.temperature, params.learnable_temperature)

    def forward(self, student: Embeddings, teacher: Embeddings, alpha: float, generator: torch.Generator) -> Objective:
        """Return the objective of a batch.

        Args:
            student: embeddings with gradient; they give the logits.
            teacher: embeddings of the same samples that give the targets.
            alpha: α of this epoch, see `alpha_at`.
            generator: CPU generator of the partition.
        """
        first, rest = self._rows(len(student.skeleton), alpha, generator)
        first, rest = first.to(student.skeleton.device), rest.to(student.skeleton.device)
        tau, s = self.temperature(), student.skeleton
        target_tau = self.target_temperature()
        loss = s.new_zeros(())
        used: list[Tensor] = []
        rows: list[Tensor] = []
        for kind, x in student.prompts.items():
            t, y = teacher.skeleton, teacher.prompts[kind]
            for asking, asked, own, other in ((s, x, t, y), (x, s, y, t)):  # s2x, then x2s
                if len(first):
                    p = self._intra(own, target_tau)[first]
                    loss = loss + alpha * cross_entropy(p, logits(asking[first], asked, tau))
                    used, rows = [*used, p], [*rows, first]
                if len(rest):
                    q = inter_target(other, own, self.params.inter_identity, target_tau)[rest]
                    loss = loss + (1 - alpha) * cross_entropy(q, logits(asking[rest], asked, tau))
                    used, rows = [*used, q], [*rows, rest]
        targets, true = torch.cat(used), torch.cat(rows)
        return Objective(loss, targets.gather(1, true[:, None]).mean(), torch.special.entr(targets).sum(1).mean())

    def target_temperature(self) -> Tensor | float:
        """Temperature of the targets: their own, or the logits' as a constant."""
        own = self.params.target_temperature
        return own if own is not None else self.temperature().detach()

    def _intra(self, own: Tensor, temperature: Tensor | float) -> Tensor:
        return intra_target(own, self.params.beta if self.params.intra else 0.0, temperature)

    def _rows(self, batch: int, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Rows for the intra (or hard) and for the inter targets."""
        everything, nothing = torch.arange(batch), torch.arange(0)
        if not self.params.inter:
            return everything, nothing
        if not self.params.intra:
            return nothing, everything
        return split_rows(batch, alpha, generator) if self.params.partition else (everything, everything)
