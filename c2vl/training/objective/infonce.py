"""InfoNCE between skeletons and their knowledge prompts (Eq. 1-3 of C²VL)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from c2vl.training.objective.cross_entropy import Objective, cross_entropy, log_rho
from c2vl.training.objective.embeddings import Embeddings
from c2vl.training.objective.temperature import Temperature


class InfoNCE(nn.Module):
    """Pull each skeleton to its own prompts and push it from those of the rest of the batch.

    For each kind of prompt X (vision V, language L), with I the identity of size B (Eq. 2, 3):

        L_infoNCE^{sx} = H(I, ρ(S Xᵀ/τ)) + H(I, ρ(X Sᵀ/τ))

    The loss is the sum over the kinds. ρ is a softmax over each row. H is a cross-entropy, mean
    over the rows, so that the first term is Eq. 1.

    Args:
        temperature: τ at the start.
        learnable_temperature: whether τ is trained, see `Temperature`.

    Raises:
        ValueError: `temperature` is not positive.

    Example:
        >>> import torch
        >>> from torch.nn.functional import normalize
        >>> from c2vl.training.objective.embeddings import Embeddings
        >>> from c2vl.training.objective.infonce import InfoNCE
        >>> rows = normalize(torch.eye(4, 8), dim=1)  # four skeletons equal to their prompts
        >>> batch = Embeddings(skeleton=rows, prompts={"vision": rows, "language": rows})
        >>> loss = InfoNCE(temperature=0.07)(batch).loss
        >>> bool(loss < 1e-4)  # each finds its own prompt, and each prompt its own skeleton
        True
    """

    def __init__(self, temperature: float = 0.07, learnable_temperature: bool = False) -> None:
        super().__init__()
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
            student: embeddings with gradient.
            teacher, alpha, generator: not used; they are here so that the training step can call
                this class and `C2VLLoss` alike.
        """
        s = student.skeleton
        loss = with_hard_targets(student, self.temperature())
        return Objective(loss, diagonal=s.new_ones(()), entropy=s.new_zeros(()))


def with_hard_targets(batch: Embeddings, temperature: Tensor) -> Tensor:
    """Sum over the kinds of prompt X of H(I, ρ(S Xᵀ/τ)) + H(I, ρ(X Sᵀ/τ)) (Eq. 2, 3).

    Args:
        batch: S and X, each (B, d) with unit rows.
        temperature: τ, a scalar.
    """
    s = batch.skeleton
    identity = torch.eye(len(s), dtype=s.dtype, device=s.device)
    mean = s.new_full((len(s),), 1 / len(s))
    return cross_entropy(identity, log_rho(batch, temperature), mean)
