"""The C²VL objective L_Soft (Eq. 4-13): two soft targets, each for its part of the batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from c2vl.training.objective.cross_entropy import Objective, cross_entropy, log_rho
from c2vl.training.objective.embeddings import Embeddings, Known
from c2vl.training.objective.partition import split_rows
from c2vl.training.objective.soft_targets import inter_target, intra_target
from c2vl.training.objective.temperature import Temperature


class C2VLLoss(nn.Module):
    """InfoNCE with soft targets in place of the identity.

    For each kind of prompt X (vision V, language L) the loss is (Eq. 12, 13)

        L_Soft^{sx} =    α   [H(P^{s2x}, ρ(S̄ Xᵀ/τ)) + H(P^{x2s}, ρ(X̄ Sᵀ/τ))]
                    + (1 - α)[H(Q^{s2x}, ρ(S̲ Xᵀ/τ)) + H(Q^{x2s}, ρ(X̲ Sᵀ/τ))]

    and L_Soft is the sum over the kinds (Eq. 11). P are the intra-modal targets (Eq. 4-6), Q the
    inter-modal ones (Eq. 7-10); a teacher makes both, without gradient. The batch is partitioned
    at random: barred rows are its first part, ⌊αB⌋ of them, underlined rows the rest. Each H is
    the mean over its rows; its columns are always the whole batch. With several devices, give it
    the gathered, global batch.

    Args:
        beta: β, share of the self-similarity in P; the rest is the identity.
        inter_identity: share of the identity mixed into Q; 0 is the paper's.
        intra: whether P is used. Without it, Q applies to all rows, weighted by 1 - α.
        inter: whether Q is used. Without it, P applies to all rows, weighted by α.
        partition: whether P and Q share the rows; without, both apply to all rows.
        temperature: τ of the logits at the start.
        target_temperature: τ of the targets; None: that of the logits, as a constant.
        learnable_temperature: whether the logits' τ is trained, see `Temperature`.
        raw: whether P^{x2s} is of the prompts' frozen features instead of their embeddings; the
            teacher is then a `Known`.

    Raises:
        ValueError: neither `intra` nor `inter`: that is `InfoNCE`.

    Example:
        >>> import torch
        >>> from torch.nn.functional import normalize
        >>> from c2vl.training.objective.c2vl_loss import C2VLLoss
        >>> from c2vl.training.objective.embeddings import Embeddings
        >>> rows = normalize(torch.eye(4, 8), dim=1)
        >>> student = Embeddings(skeleton=rows, prompts={"vision": rows, "language": rows})
        >>> draws = torch.Generator().manual_seed(0)
        >>> result = C2VLLoss(beta=0.2)(student, student.detach(), alpha=0.5, generator=draws)
        >>> bool(0 < result.diagonal < 1)  # soft targets: some mass lies beside the true pair
        True
    """

    def __init__(
        self,
        beta: float = 0.2,
        inter_identity: float = 0.0,
        intra: bool = True,
        inter: bool = True,
        partition: bool = True,
        temperature: float = 0.07,
        target_temperature: float | None = None,
        learnable_temperature: bool = False,
        raw: bool = False,
    ) -> None:
        super().__init__()
        if not (intra or inter):
            raise ValueError("C2VLLoss needs `intra` or `inter` targets; use InfoNCE without them")
        self.beta, self.inter_identity = beta, inter_identity
        self.intra, self.inter, self.partition = intra, inter, partition
        self.raw = raw
        self.temperature = Temperature(temperature, learnable_temperature)
        self.own_target_temperature = target_temperature

    def forward(
        self, student: Embeddings, teacher: Embeddings, alpha: float, generator: torch.Generator
    ) -> Objective:
        """Return the objective of a batch.

        Args:
            student: embeddings with gradient; they give the logits.
            teacher: embeddings of the same samples; they give the targets.
            alpha: α of this epoch, see `alpha_at`.
            generator: CPU generator of the partition.
        """
        rho = log_rho(student, self.temperature())
        terms = self._weighted_targets(teacher, alpha, generator)
        h = [cross_entropy(targets, rho, weights) for targets, weights in terms]
        targets = torch.stack([each for each, _ in terms])
        return Objective(
            loss=h[0] if len(h) == 1 else h[0] + h[1],
            diagonal=targets.diagonal(dim1=2, dim2=3).mean(),
            entropy=torch.special.entr(targets).sum(3).mean(),
        )

    def target_temperature(self) -> Tensor | float:
        """Temperature of the targets: their own, or the logits' as a constant."""
        own = self.own_target_temperature
        return own if own is not None else self.temperature().detach()

    @torch.no_grad()
    def _weighted_targets(
        self, teacher: Embeddings, alpha: float, generator: torch.Generator
    ) -> list[tuple[Tensor, Tensor]]:
        """Targets (2K, B, B) in the order of `log_rho`, each with the weights (B,) of its rows."""
        batch = len(teacher.skeleton)
        if not self.inter:
            return [(self._intra(teacher), teacher.skeleton.new_full((batch,), alpha / batch))]
        if not self.intra:
            rest = teacher.skeleton.new_full((batch,), (1 - alpha) / batch)
            return [(self._inter(teacher), rest)]
        p, q = self._intra(teacher), self._inter(teacher)
        if not self.partition:
            shares = ((p, alpha), (q, 1 - alpha))
            return [(each, p.new_full((batch,), share / batch)) for each, share in shares]
        barred, weights = _rows_by_target(batch, alpha, generator)
        barred, weights = barred.to(p.device, non_blocking=True), weights.to(p, non_blocking=True)
        return [(torch.where(barred[:, None], p, q), weights)]

    def _intra(self, teacher: Embeddings) -> Tensor:
        """Eq. 6, P^{s2x} of every kind; then Eq. 4 and 5, P^{x2s}: (2K, B, B)."""
        if self.raw:
            assert isinstance(teacher, Known)
            each = [teacher.skeleton] * len(teacher.raw) + [*teacher.raw.values()]
            return torch.stack(
                [intra_target(x, self.beta, self.target_temperature()) for x in each]
            )
        modalities = torch.stack([teacher.skeleton, *teacher.prompts.values()])  # S, V, L
        p = intra_target(modalities, self.beta, self.target_temperature())
        return torch.cat([p[:1].expand(len(p) - 1, -1, -1), p[1:]])

    def _inter(self, teacher: Embeddings) -> Tensor:
        """Eq. 8 and 10, Q^{s2x}; then Eq. 7 and 9, Q^{x2s}: (2K, B, B)."""
        x = torch.stack(list(teacher.prompts.values()))
        s = teacher.skeleton.expand_as(x)
        asked, asking = torch.cat([x, s]), torch.cat([s, x])
        return inter_target(asked, asking, self.inter_identity, self.target_temperature())


def _rows_by_target(batch: int, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Which rows have the intra targets, (B,) bool, and each row's weight (B,) float64, on the CPU.

    The weights α/⌊αB⌋ and (1 - α)/(B - ⌊αB⌋) make each H the mean over its own rows.
    """
    first, rest = split_rows(batch, alpha, generator)
    barred = torch.zeros(batch, dtype=torch.bool).index_fill_(0, first, True)
    weights = torch.full((batch,), (1 - alpha) / max(1, len(rest)), dtype=torch.float64)
    return barred, weights.index_fill_(0, first, alpha / max(1, len(first)))
