"""An objective of our own: InfoNCE with the prompts, and between two views of each skeleton."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from c2vl.training.objective.cross_entropy import Objective, cross_entropy, log_rho
from c2vl.training.objective.embeddings import Embeddings
from c2vl.training.objective.temperature import Temperature


class TwoViewLoss(nn.Module):
    """Pull two views of a skeleton to their prompts and to each other.

    S¹ and S² are the embeddings of two random views of the batch's skeletons, X those of a kind of
    prompt, I is the identity:

        L^{sx} = H(I, ρ(S Xᵀ/τ)) + H(I, ρ(X Sᵀ/τ))
        L = mean over S in {S¹, S²} of the sum over the kinds of L^{sx}
            + w [H(I, ρ(S¹ S²ᵀ/τ)) + H(I, ρ(S² S¹ᵀ/τ))]

    The first part is `InfoNCE` (Eq. 1-3 of C²VL). The second is the contrast of two views: Chen et
    al., "A Simple Framework for Contrastive Learning of Visual Representations" (ICML 2020), with
    the other clips of the batch as negatives.

    Args:
        view_weight: w; 0 leaves the prompts alone.
        temperature: τ at the start.
        learnable_temperature: whether τ is trained, see `Temperature`.

    Example:
        >>> import torch
        >>> from c2vl.training.objective.embeddings import Embeddings
        >>> from c2vl.training.objective.two_views import TwoViewLoss
        >>> rows = torch.eye(4, 8)  # four skeletons, equal to their prompts in both views
        >>> loss = TwoViewLoss()(Embeddings(rows, {"vision": rows}, second=rows)).loss
        >>> bool(loss < 1e-4)
        True
    """

    def __init__(
        self,
        view_weight: float = 1.0,
        temperature: float = 0.07,
        learnable_temperature: bool = False,
    ) -> None:
        super().__init__()
        self.view_weight = view_weight
        self.temperature = Temperature(temperature, learnable_temperature)

    def forward(
        self,
        student: Embeddings,
        teacher: Embeddings | None = None,
        alpha: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Objective:
        """Return the loss of a batch.

        Args:
            student: embeddings with gradient, and those of the second views.
            teacher, alpha, generator: not used; they are here so that the training step can call
                this class and `C2VLLoss` alike.
        """
        first, second = student.skeleton, student.second
        assert second is not None
        prompts = (self._hard(first, student.prompts) + self._hard(second, student.prompts)) / 2
        loss = prompts + self.view_weight * self._hard(first, {"view": second})
        return Objective(loss, diagonal=first.new_ones(()), entropy=first.new_zeros(()))

    def _hard(self, s: Tensor, others: dict[str, Tensor]) -> Tensor:
        """InfoNCE in both directions, summed over the others."""
        identity = torch.eye(len(s), dtype=s.dtype, device=s.device)
        mean = s.new_full((len(s),), 1 / len(s))
        return cross_entropy(identity, log_rho(Embeddings(s, others), self.temperature()), mean)
