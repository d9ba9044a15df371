"""Every protocol of one encoder on one benchmark, from features computed once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from c2vl.evaluation.features import Features, frozen_features
from c2vl.evaluation.knn import KnnResult, knn_evaluation
from c2vl.evaluation.linear import LinearResult, linear_evaluation
from c2vl.evaluation.metrics import mean_class, top1, top_k
from c2vl.evaluation.params import EvaluateParams
from c2vl.skeletons.streams import Stream
from c2vl.training.checkpoint import EncoderNetwork
from c2vl.training.clips import Clips
from c2vl.training.supervised import ClassifyingEncoder


@dataclass(frozen=True)
class Evaluated:
    """An encoder's features and what each protocol made of them; `end_to_end` are a supervised network's own scores."""

    features: Features
    linear: LinearResult
    knn: KnnResult
    end_to_end: np.ndarray | None

    def metrics(self) -> dict[str, dict[str, float]]:
        """Accuracies by protocol, shares in 0…1."""
        labels = self.features.test_labels
        found = {
            "linear": {**score_metrics(labels, self.linear.scores), "best_on_test": self.linear.best_on_test},
            "knn": {"top1": top1(labels, self.knn.predictions), "mean_class": mean_class(labels, self.knn.predictions)},
        }
        if self.end_to_end is not None:
            found["end_to_end"] = score_metrics(labels, self.end_to_end)
        return found


def score_metrics(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Top 1, top 5 and mean class accuracy of scores (N, classes)."""
    predictions = scores.argmax(1)
    return {
        "top1": top1(labels, predictions),
        "top5": top_k(labels, scores),
        "mean_class": mean_class(labels, predictions),
    }


def evaluate(
    network: EncoderNetwork, train: Clips, test: Clips, stream: Stream, frames: int, classes: int, params: EvaluateParams
) -> Evaluated:
    """Freeze the encoder, then linear evaluation and KNN; for a supervised network also its classifier's scores."""
    features = frozen_features(network.encoder, train, test, stream, frames)
    end_to_end = None
    if isinstance(network, ClassifyingEncoder):
        with torch.inference_mode():
            classifier = network.classifier.cpu()
            end_to_end = classifier(torch.from_numpy(features.test)).softmax(1).numpy()
    return Evaluated(
        features,
        linear_evaluation(features, classes, params.linear, params.seed),
        knn_evaluation(features, params.knn_neighbours),
        end_to_end,
    )
