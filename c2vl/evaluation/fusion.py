"""Fusion of streams: a weighted sum of their logits, or of their softmax scores.

The published scripts add the logits, without a softmax, with the weights 0.6 (joint), 0.6 (bone)
and 0.4 (motion): AimCLR's `ensemble_ntu_cs.py` (Levigty/AimCLR) and CTR-GCN's `ensemble.py`
(Uason-Chen/CTR-GCN).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch

FusedScores = Literal["logits", "softmax"]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Rows of logits (N, classes) as scores of sum 1, float32."""
    scores: np.ndarray = torch.from_numpy(logits).float().softmax(1).numpy()
    return scores


def logits_of(scores: np.ndarray) -> np.ndarray:
    """Logits of softmax scores (N, classes), up to a constant of each row; float64.

    The constant changes neither a fused ranking nor a fused probability. A score too small for a
    float32 counts as the smallest one, a logit 87 below the best.
    """
    smallest = float(np.finfo(np.float32).tiny)
    found: np.ndarray = np.log(np.maximum(scores.astype(np.float64), smallest))
    return found


def fuse(
    logits: Mapping[str, np.ndarray], weights: Mapping[str, float], scores: FusedScores = "logits"
) -> np.ndarray:
    """Fuse streams into scores (N, classes) of sum 1, float64.

    `logits` is the softmax of the weighted mean of the logits: it ranks as the published weighted
    sum does, and a stream fused with itself keeps its probabilities. `softmax` is the weighted mean
    of the probabilities.

    Args:
        logits: (N, classes) of each stream; each row may have a constant of its own.
        weights: of each stream.
        scores: what is added.

    Raises:
        ValueError: a stream has no weight, or the weights of the streams are all zero.
    """
    total = sum(weights[stream] for stream in logits) if logits.keys() <= weights.keys() else 0.0
    if total <= 0:
        raise ValueError(
            f"the streams {sorted(logits)} need weights with a positive sum, not {dict(weights)}"
        )
    exact = {stream: torch.from_numpy(values).double() for stream, values in logits.items()}
    parts = [
        weights[stream] / total * (values if scores == "logits" else values.softmax(1))
        for stream, values in exact.items()
    ]
    fused = torch.stack(parts).sum(0)
    found: np.ndarray = (fused.softmax(1) if scores == "logits" else fused).numpy()
    return found


def fuse_streams(
    logits: Mapping[str, np.ndarray], weights: Mapping[str, float], scores: FusedScores = "logits"
) -> dict[str, np.ndarray]:
    """`fusion` (the weights) and `fusion_equal` of all streams; nothing for one stream."""
    if len(logits) < 2:
        return {}
    return {
        "fusion": fuse(logits, weights, scores),
        "fusion_equal": fuse(logits, dict.fromkeys(logits, 1.0), scores),
    }
