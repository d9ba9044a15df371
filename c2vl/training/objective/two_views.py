"""An objective of our own: InfoNCE with the prompts, and between two views of each skeleton."""

from __future__ import annotations

import torch
from torch import nn

from c2vl.training.objective.cross_entropy import Objective
from c2vl.training.objective.embeddings import Embeddings
from c2vl.training.objective.infonce import with_hard_targets
from c2vl.training.objective.temperature import Temperature


class TwoViewLoss(nn.Module):
    """Pull two views of a skeleton to their prompts and to each other.

    S¹ and S² are the embeddings of two random views of the batch's skeletons, X those of a kind of
    prompt, I is the identity:

        L^{sx} = H(I, ρ(S Xᵀ/τ)) + H(I, ρ(X Sᵀ/τ))
        L = μ · mean over S in {S¹, S²} of the sum over the kinds of L^{sx}
            + H(I, ρ(S¹ S²ᵀ/τ')) + H(I, ρ(S² S¹ᵀ/τ'))

    The first part is `InfoNCE` (Eq. 1-3 of C²VL). The second is the contrast of two views: Chen et
    al., "A Simple Framework for Contrastive Learning of Visual Representations" (ICML 2020), with
    the other clips of the batch as negatives. With half as many frames in a view (`view.frames`), a
    step takes about as long as InfoNCE's.

    Args:
        prompt_weight: μ; 0 leaves the prompts out.
        view_temperature: τ'.
        temperature: τ at the start.
        learnable_temperature: whether τ is trained, see `Temperature`.

    Example:
        >>> import torch
        >>> from c2vl.training.objective.embeddings import Embeddings
        >>> from c2vl.training.objective.two_views import TwoViewLoss
        >>> rows = torch.eye(4, 8)  # four skeletons, equal to their prompts in both views
        >>> loss = TwoViewLoss()(Embeddings(rows, {"vision": rows}, second=rows)).loss
        >>> bool(loss < 1e-3)
        True
    """

    def __init__(
        self,
        prompt_weight: float = 1.0,
        view_temperature: float = 0.1,
        temperature: float = 0.07,
        learnable_temperature: bool = False,
    ) -> None:
        super().__init__()
        self.prompt_weight, self.view_temperature = prompt_weight, view_temperature
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
        tau = self.temperature()
        with_prompts = [
            with_hard_targets(Embeddings(view, student.prompts), tau) for view in (first, second)
        ]
        views = with_hard_targets(
            Embeddings(first, {"view": second}), first.new_tensor(self.view_temperature)
        )
        return Objective(
            self.prompt_weight * sum(with_prompts) / 2 + views,
            diagonal=first.new_ones(()),
            entropy=first.new_zeros(()),
        )
