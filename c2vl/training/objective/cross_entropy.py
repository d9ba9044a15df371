"""ρ and H of the paper: softmax over the batch and cross-entropy with soft targets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from c2vl.training.objective.embeddings import Embeddings


@dataclass(frozen=True)
class Objective:
    """The loss of a batch and two diagnostics of its targets, all scalars.

    Attributes:
        loss: the loss, with gradient.
        diagonal: mean mass that the targets' rows put on the true pair (1: hard targets).
        entropy: mean entropy of the targets' rows in nats (log B: uniform).
    """

    loss: Tensor
    diagonal: Tensor
    entropy: Tensor


def log_rho(batch: Embeddings, temperature: Tensor) -> Tensor:
    """Return log ρ(S Xᵀ/τ) of every kind of prompt X, then log ρ(X Sᵀ/τ) of every kind.

    All are computed side by side: at the size of a batch the number of operations decides.

    Args:
        batch: S and its K kinds of prompts, unit rows.
        temperature: τ, a scalar.

    Returns:
        (2K, B, B), each row of which is a log-softmax over the batch.
    """
    s, x = batch.skeleton, torch.stack(list(batch.prompts.values()))  # (B, d), (K, B, d)
    x2s = (x.flatten(0, 1) @ s.T).view(len(x), len(s), len(s)) / temperature
    return torch.cat([x2s.mT, x2s]).log_softmax(dim=2)


def cross_entropy(targets: Tensor, log_rho: Tensor, weights: Tensor) -> Tensor:
    """Return H(targets, ρ), summed over both directions of all kinds.

    Args:
        targets: (2K, B, B) or (B, B), rows of sum 1.
        log_rho: (2K, B, B), see `log_rho`.
        weights: (B,) weight of each row; 1/B makes H the mean over the rows.
    """
    return -(targets * log_rho).sum((0, 2)) @ weights
