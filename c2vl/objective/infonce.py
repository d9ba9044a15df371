"""Logits, cross-entropy and InfoNCE (Eq. 1-3 of C²VL).

Rows of S, V and L are unit vectors in the shared space, so that a matrix product gives cosines.
"""

from __future__ import annotations

import torch
from torch import Tensor


def logits(rows: Tensor, columns: Tensor, temperature: Tensor | float) -> Tensor:
    """Cosines over the temperature, the argument of ρ: rows (R, d), columns (B, d) to (R, B)."""
    return rows @ columns.T / temperature


def cross_entropy(targets: Tensor, logits: Tensor) -> Tensor:
    """H(targets, ρ(logits)): mean over the rows of both, (R, B); zero where there is no row."""
    if len(targets) == 0:
        return logits.sum()  # an empty sum: zero, with a gradient of nothing
    return -(targets * logits.log_softmax(dim=1)).sum(1).mean()


def infonce(skeleton: Tensor, prompt: Tensor, temperature: Tensor | float) -> Tensor:
    """L_infoNCE = H(I, ρ(S Xᵀ)) + H(I, ρ(X Sᵀ)), Eq. 2 (X = V) and Eq. 3 (X = L); its first term is Eq. 1.

    Args:
        skeleton: S, (B, d) unit rows.
        prompt: X, (B, d) unit rows, paired with S.
        temperature: τ, of the logits.
    """
    identity = torch.eye(len(skeleton), dtype=skeleton.dtype, device=skeleton.device)
    forward = cross_entropy(identity, logits(skeleton, prompt, temperature))
    return forward + cross_entropy(identity, logits(prompt, skeleton, temperature))
