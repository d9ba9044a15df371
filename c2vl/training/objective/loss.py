"""The C²VL objective (Eq. 11-13): two softened targets, a partitioned batch, progressive control."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from c2vl.training.objective.embeddings import Embeddings
from c2vl.training.objective.objective_params import ObjectiveParams
from c2vl.training.objective.partition import split_rows
from c2vl.training.objective.targets import inter_target, intra_target
from c2vl.training.objective.temperature import Temperature


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

    Both directions of all kinds are computed side by side, (2K, B, B): a small batch is a matter of how many operations there
    are. The rows' cross-entropies are weighted by α/⌊αB⌋ or (1 - α)/(B - ⌊αB⌋), so that each H is its mean over its rows.
    """

    def __init__(self, params: ObjectiveParams) -> None:
        super().__init__()
        self.params = params
        self.temperature = Temperature(params.temperature, params.learnable_temperature)

    def forward(
        self, student: Embeddings, teacher: Embeddings, alpha: float, generator: torch.Generator
    ) -> Objective:
        """Return the objective of a batch.

        Args:
            student: embeddings with gradient; they give the logits.
            teacher: embeddings of the same samples that give the targets.
            alpha: α of this epoch, see `alpha_at`.
            generator: CPU generator of the partition.
        """
        s, x = (
            student.skeleton,
            torch.stack(list(student.prompts.values())),
        )  # (B, d), (K, B, d): K kinds of knowledge
        x2s = (x.flatten(0, 1) @ s.T).view(len(x), len(s), len(s)) / self.temperature()
        log_rho = torch.cat([x2s.mT, x2s]).log_softmax(
            dim=2
        )  # (2K, B, B): every s2x, then every x2s
        loss = s.new_zeros(())
        used = self._targets(teacher, alpha, generator)
        for targets, weights in used:
            loss = loss - (targets * log_rho).sum((0, 2)) @ weights
        targets = torch.stack([each for each, _ in used])
        return Objective(
            loss, targets.diagonal(dim1=2, dim2=3).mean(), torch.special.entr(targets).sum(3).mean()
        )

    @torch.no_grad()
    def _targets(
        self, teacher: Embeddings, alpha: float, generator: torch.Generator
    ) -> list[tuple[Tensor, Tensor]]:
        """Targets (2K, B, B) in the order of the logits, each with the weight (B,) of a row in the loss."""
        t, y = teacher.skeleton, torch.stack(list(teacher.prompts.values()))
        skeletons = t.expand_as(y)
        batch, temperature = len(t), self.target_temperature()
        intra = inter = None
        if self.params.intra:
            own = intra_target(torch.cat([t[None], y]), self.params.beta, temperature)
            intra = torch.cat([own[:1].expand(len(y), -1, -1), own[1:]])
        elif not self.params.inter:
            intra = torch.eye(batch, dtype=t.dtype, device=t.device).expand(2 * len(y), -1, -1)
        if self.params.inter:
            asked, asking = torch.cat([y, skeletons]), torch.cat([skeletons, y])
            inter = inter_target(asked, asking, self.params.inter_identity, temperature)
        if intra is None or inter is None or not self.params.partition:
            each = ((intra, alpha), (inter, 1 - alpha))
            return [
                (made, t.new_full((batch,), share / batch))
                for made, share in each
                if made is not None
            ]
        first, _ = split_rows(batch, alpha, generator)
        mine = torch.zeros(batch, dtype=torch.bool).index_fill_(
            0, first, True
        )  # on the CPU, as the order was drawn
        weights = torch.full(
            (batch,), (1 - alpha) / max(1, batch - len(first)), dtype=torch.float64
        )
        weights.index_fill_(0, first, alpha / max(1, len(first)))
        mine, weights = mine.to(t.device, non_blocking=True), weights.to(t, non_blocking=True)
        return [(torch.where(mine[:, None], intra, inter), weights)]

    def target_temperature(self) -> Tensor | float:
        """Temperature of the targets: their own, or the logits' as a constant."""
        own = self.params.target_temperature
        return own if own is not None else self.temperature().detach()
