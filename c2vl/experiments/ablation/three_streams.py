"""The three streams together: fused linear classifiers, and neighbours in all three spaces."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from c2vl.evaluation.evaluate_params import EvaluateParams
from c2vl.evaluation.features import Features
from c2vl.evaluation.fusion import fuse, logits_of
from c2vl.evaluation.knn import knn_evaluation
from c2vl.evaluation.protocol import Evaluated


def of_three_streams(
    features: Mapping[str, Features], results: Mapping[str, Evaluated], params: EvaluateParams
) -> dict[str, NDArray[np.bool_]]:
    """Which test clips the fused streams answer rightly, (N,) by `fused_linear` and `fused_knn`.

    Linear scores are fused as section `evaluate` says. The similarity of two clips is the mean of
    their cosines in the three streams, with the same weights.
    """
    weights = params.fusion.weights
    logits = {stream: logits_of(result.linear.scores) for stream, result in results.items()}
    answers = fuse(logits, weights, params.fusion.scores).argmax(1)
    first = next(iter(features.values()))
    together = Features(
        _side_by_side({stream: each.train for stream, each in features.items()}, weights),
        first.train_labels,
        _side_by_side({stream: each.test for stream, each in features.items()}, weights),
        first.test_labels,
    )
    nearest = knn_evaluation(together, params.knn_neighbours).predictions
    right = {"fused_linear": answers, "fused_knn": nearest}
    return {name: answer == first.test_labels for name, answer in right.items()}


def _side_by_side(
    streams: Mapping[str, NDArray[np.float32]], weights: Mapping[str, float]
) -> NDArray[np.float32]:
    """Rows whose products are the weighted sums of the streams' cosines."""
    unit = [
        np.sqrt(weights[stream]) * rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12)
        for stream, rows in streams.items()
    ]
    return np.concatenate(unit, axis=1, dtype=np.float32)
