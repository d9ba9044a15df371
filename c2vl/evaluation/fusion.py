"""Fusion of streams: a weighted sum of their softmax scores."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Scores = TypeVar("Scores", np.ndarray, "Tensor")


def fuse(scores: Mapping[str, Scores], weights: Mapping[str, float]) -> Scores:
    """Weighted mean of the streams' scores, each (N, classes) with rows of sum 1, as the result's.

    Scores are arrays or tensors, so that an exported network fuses by the same code.

    Raises:
        ValueError: a stream has no weight, or the weights of the streams are all zero.
    """
    total = sum(weights[stream] for stream in scores) if scores.keys() <= weights.keys() else 0.0
    if total <= 0:
        raise ValueError(
            f"the streams {sorted(scores)} need weights with a positive sum, not {dict(weights)}"
        )
    return functools.reduce(
        operator.add, (weights[stream] / total * values for stream, values in scores.items())
    )


def fuse_streams(
    scores: Mapping[str, np.ndarray], weights: Mapping[str, float]
) -> dict[str, np.ndarray]:
    """`fusion` (the weights) and `fusion_equal` of all streams' scores; nothing for one stream."""
    if len(scores) < 2:
        return {}
    return {
        "fusion": fuse(scores, weights),
        "fusion_equal": fuse(scores, dict.fromkeys(scores, 1.0)),
    }
