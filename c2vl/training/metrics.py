"""Accuracies of a classifier's scores, by scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, recall_score, top_k_accuracy_score


def top1(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Share of right predictions, 0…1."""
    return float(accuracy_score(labels, predictions))


def top_k(labels: np.ndarray, scores: np.ndarray, k: int = 5) -> float:
    """Share of samples whose label (N,) is among the k best scores (N, classes).

    It is 1 where k covers all classes.
    """
    classes = scores.shape[1]
    if k >= classes:
        return 1.0
    return float(top_k_accuracy_score(labels, scores, k=k, labels=np.arange(classes)))


def per_class(labels: np.ndarray, predictions: np.ndarray) -> dict[int, float]:
    """Recall of every class that has a test sample, by label."""
    present = np.unique(labels)
    recalls = recall_score(labels, predictions, labels=present, average=None, zero_division=0)
    return {int(label): float(recall) for label, recall in zip(present, recalls, strict=True)}


def mean_class(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Mean of `per_class`: what top 1 would be if every class had as many samples."""
    return float(np.mean(list(per_class(labels, predictions).values())))


def best(scores: np.ndarray, k: int = 5) -> np.ndarray:
    """Labels of the k best scores of each row, best first, (N, min(k, classes)).

    Equal scores come in the order of the labels.
    """
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def score_metrics(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Top 1, top 5 and mean class accuracy of scores (N, classes)."""
    predictions = scores.argmax(1)
    return {
        "top1": top1(labels, predictions),
        "top5": top_k(labels, scores),
        "mean_class": mean_class(labels, predictions),
    }


def spread(values: Sequence[float]) -> dict[str, Any]:
    """`{mean, std, values}` of some values; `std` is the sample deviation, None of one value."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {
        "mean": float(np.mean(values)),
        "std": deviation,
        "values": [float(value) for value in values],
    }


def summarised(draws: list[dict[str, float]], labelled: int) -> dict[str, Any]:
    """Mean and deviation over the draws of each metric, and the number of labelled clips."""
    return {
        "labelled": labelled,
        **{name: spread([draw[name] for draw in draws]) for name in draws[0]},
    }
