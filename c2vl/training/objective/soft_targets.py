"""The two soft targets (Eq. 4-10 of C²VL). They are constants: no gradient flows through them.

The paper writes ρ without a temperature here. With unit vectors that makes the targets of a batch
of 400 all but uniform (cosines span [-1, 1]), so ρ divides by the targets' own temperature.
"""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def intra_target(x: Tensor, beta: float, temperature: Tensor | float) -> Tensor:
    """Intra-modal self-similarity, (…, B, B): P = β ρ(X Xᵀ) + (1 - β) I.

    Eq. 4 with X = V is P^{v2s}; Eq. 5 with X = L is P^{l2s}; Eq. 6 with X = S is P^{s2v} = P^{s2l}.

    Args:
        x: the teacher's embeddings of the modality that asks, (…, B, d) unit rows.
        beta: β, the share of the self-similarity.
        temperature: of the targets.
    """
    return mixed_with_identity((x @ x.mT / temperature).softmax(dim=-1), beta)


@torch.no_grad()
def inter_target(
    asked: Tensor, asking: Tensor, identity: float, temperature: Tensor | float
) -> Tensor:
    """Inter-modal cross-consistency, (…, B, B).

    With S asked by V, as in Eq. 7,

        Q^{v2s}_ij = softmax_j((s_i·v_j + v_i·s_i + s_j·v_j)/τ).

    Eq. 7 is (asked S, asking V), Eq. 8 (V, S), Eq. 9 (S, L), Eq. 10 (L, S). The terms I V Sᵀ J and
    J Sᵀ V I cannot be multiplied as printed (B×B by d×d). Read with I as an element-wise mask, as
    in the cycle-consistent targets that the paper cites, they are the pairs' own similarities
    along rows and along columns. The one along rows cancels in the softmax; it is kept so that
    the formula can be recognised.

    Args:
        asked: embeddings of the modality that is asked, the S of Q^{v2s}, (…, B, d) unit rows.
        asking: embeddings of the modality that asks, the V of Q^{v2s}, (…, B, d) unit rows.
        identity: share of I mixed into the result; 0 is the paper's.
        temperature: of the targets.
    """
    scores = asked @ asking.mT
    own = scores.diagonal(dim1=-2, dim2=-1).clone()  # s_i·v_i
    scores = scores + own[..., :, None] + own[..., None, :]
    return mixed_with_identity((scores / temperature).softmax(dim=-1), 1 - identity)


def mixed_with_identity(soft: Tensor, share: float) -> Tensor:
    """Share · soft + (1 - share) · I, for each matrix of (…, B, B)."""
    mixed = soft * share
    mixed.diagonal(dim1=-2, dim2=-1).add_(1 - share)
    return mixed
