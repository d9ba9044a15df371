"""Every protocol that leaves the encoder alone, from features computed once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from c2vl.evaluation.evaluate_params import EvaluateParams
from c2vl.evaluation.features import Features
from c2vl.evaluation.fusion import softmax
from c2vl.evaluation.knn import KnnResult, knn_evaluation
from c2vl.evaluation.linear import LinearResult, linear_evaluation
from c2vl.training.metrics import mean_class, score_metrics, top1


@dataclass(frozen=True)
class Evaluated:
    """Results of each protocol for an encoder; `end_to_end`: a supervised network's own scores."""

    labels: np.ndarray
    linear: LinearResult
    knn: KnnResult
    end_to_end: np.ndarray | None

    def metrics(self) -> dict[str, dict[str, float]]:
        """Accuracies by protocol, shares in 0…1."""
        found = {
            "linear": {
                **score_metrics(self.labels, self.linear.scores),
                "best_on_test": self.linear.best_on_test,
            },
            "knn": {
                "top1": top1(self.labels, self.knn.predictions),
                "mean_class": mean_class(self.labels, self.knn.predictions),
            },
        }
        if self.end_to_end is not None:
            found["end_to_end"] = score_metrics(self.labels, self.end_to_end)
        return found

    def correct(self) -> dict[str, np.ndarray]:
        """Which test clips each protocol answers rightly, (N,) bool."""
        answers = {"linear": self.linear.scores.argmax(1), "knn": self.knn.predictions}
        if self.end_to_end is not None:
            answers["end_to_end"] = self.end_to_end.argmax(1)
        return {protocol: answer == self.labels for protocol, answer in answers.items()}


def evaluate(
    features: Features,
    classes: int,
    params: EvaluateParams,
    logits: np.ndarray | None = None,
    device: torch.device | str = "cpu",
) -> Evaluated:
    """Linear evaluation and KNN.

    Args:
        features: of both splits.
        classes: number of classes.
        params: section `evaluate`.
        logits: (N, classes) of the encoder's own classifier for the test clips.
        device: where to compute.
    """
    return Evaluated(
        features.test_labels,
        linear_evaluation(features, classes, params.linear, params.seed, device),
        knn_evaluation(features, params.knn_neighbours, device),
        None if logits is None else softmax(logits),
    )
