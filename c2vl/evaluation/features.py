"""Features of both splits from a frozen encoder, which linear evaluation, KNN and others use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Features:
    """Features (N, D) float32 and labels (N,) of the train and test splits."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
