"""An objective of our own: soft targets from what the frozen prompts, and skeletons, agree on."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from c2vl.training.objective.cross_entropy import Objective, cross_entropy, log_rho
from c2vl.training.objective.embeddings import Embeddings, Known
from c2vl.training.objective.soft_targets import mixed_with_identity
from c2vl.training.objective.temperature import Temperature


class AgreementLoss(nn.Module):
    """InfoNCE whose targets give a share to the clips that agree most with each clip.

    For each kind of prompt X

        L^{sx} = H(T, ρ(S Xᵀ/τ)) + H(T, ρ(X Sᵀ/τ)),   T = (1 - ε) I + ε ρ'(G/θ),
        G_ij = μ mean over the kinds of cos(x̂_i, x̂_j) + λ s_i·s_j

    x̂ are the frozen features of a clip's prompts (the mean of its K) minus their mean over the
    batch, because features of one encoder all resemble each other. They do not depend on what is
    being trained, so these targets cannot confirm its mistakes. ρ' is a softmax over the *other*
    clips of the batch: a clip's similarity with itself would take nearly all of it. s is the
    teacher's. Both kinds share T, and so do both directions.

    Args:
        prompt_weight: μ; 0 leaves the prompts out.
        skeleton_weight: λ; 0 leaves the skeletons out.
        temperature: τ of the logits at the start.
        target_temperature: θ; None: τ, as a constant.
        learnable_temperature: whether τ is trained, see `Temperature`.

    Example:
        >>> import torch
        >>> from torch.nn.functional import normalize
        >>> from c2vl.training.objective.agreement import AgreementLoss
        >>> from c2vl.training.objective.embeddings import Embeddings, Known
        >>> rows = normalize(torch.eye(4, 8), dim=1)
        >>> student = Embeddings(skeleton=rows, prompts={"vision": rows, "language": rows})
        >>> teacher = Known(student.skeleton, student.prompts, raw=student.prompts)
        >>> result = AgreementLoss()(student, teacher, alpha=0.5)
        >>> round(float(result.diagonal), 3)  # ε = 0.5 lies on other clips
        0.5
    """

    def __init__(
        self,
        prompt_weight: float = 1.0,
        skeleton_weight: float = 0.0,
        temperature: float = 0.07,
        target_temperature: float | None = None,
        learnable_temperature: bool = False,
    ) -> None:
        super().__init__()
        self.prompt_weight, self.skeleton_weight = prompt_weight, skeleton_weight
        self.temperature = Temperature(temperature, learnable_temperature)
        self.own_target_temperature = target_temperature

    def forward(
        self,
        student: Embeddings,
        teacher: Embeddings,
        alpha: float,
        generator: torch.Generator | None = None,
    ) -> Objective:
        """Return the objective of a batch.

        Args:
            student: embeddings with gradient; they give the logits.
            teacher: a `Known` with `raw`; it gives the targets.
            alpha: ε of this epoch, see `alpha_at`.
            generator: not used; nothing is drawn.
        """
        assert isinstance(teacher, Known)
        targets = self._targets(teacher, alpha)
        mean = targets.new_full((len(targets),), 1 / len(targets))
        loss = cross_entropy(targets, log_rho(student, self.temperature()), mean)
        entropy = torch.special.entr(targets).sum(1).mean()
        return Objective(loss, targets.diagonal().mean(), entropy)

    @torch.no_grad()
    def _targets(self, teacher: Known, share: float) -> Tensor:
        """T, (B, B)."""
        centred = [normalize(x - x.mean(0), dim=1) for x in teacher.raw.values()]
        g = self.prompt_weight * torch.stack([x @ x.T for x in centred]).mean(0)
        g = g.to(teacher.skeleton)
        g = g + self.skeleton_weight * (teacher.skeleton @ teacher.skeleton.T)
        own = self.own_target_temperature
        theta = own if own is not None else self.temperature().detach()
        mine = torch.eye(len(g), dtype=torch.bool, device=g.device)
        return mixed_with_identity((g / theta).masked_fill(mine, -torch.inf).softmax(1), share)
