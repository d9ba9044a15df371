"""Whether a classifier's confidence means what it says: expected calibration error.

Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017): 15 bins of equal width; the
error is the mean over the clips of |accuracy - confidence| of their bin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 15


@dataclass(frozen=True)
class Bin:
    """One bin of confidence (lower, upper]: clips, mean confidence and accuracy (0 if empty)."""

    lower: float
    upper: float
    clips: int
    confidence: float
    accuracy: float


def reliability(labels: np.ndarray, scores: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Accuracy by confidence: labels (N,), scores (N, classes) with rows of sum 1."""
    confidence, right = scores.max(1).astype(np.float64), scores.argmax(1) == labels
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    found = []
    for k in range(bins):
        inside = place == k
        mean, accuracy = (
            (float(confidence[inside].mean()), float(right[inside].mean()))
            if inside.any()
            else (0.0, 0.0)
        )
        found.append(Bin(k / bins, (k + 1) / bins, int(inside.sum()), mean, accuracy))
    return found


def calibration_error(bins: list[Bin]) -> float:
    """Expected calibration error of the bins, 0…1."""
    clips = sum(one.clips for one in bins)
    return (
        sum(one.clips * abs(one.accuracy - one.confidence) for one in bins) / clips
        if clips
        else 0.0
    )
