"""KNN evaluation: the label of the nearest training clips by cosine, features L2-normalised, k = 1.

As skeleton-contrast (ISC, `--knn-neighbours 1`) and, after it, CMD and the paper's Table IV
("action retrieval").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import normalize, one_hot

from c2vl.evaluation.features import Features

ROWS = 1024  # test clips compared at once: 1024 x 63,026 similarities are 260 MB


@dataclass(frozen=True)
class KnnResult:
    """Predicted labels (N,) of the test split, and the cosine (N,) of the nearest training clip."""

    predictions: np.ndarray
    similarity: np.ndarray


def knn_evaluation(
    features: Features, neighbours: int = 1, device: torch.device | str = "cpu"
) -> KnnResult:
    """Classify the test features by a majority of the `neighbours` nearest train features.

    Of labels with equal votes the lowest wins.
    """
    train, test = (
        normalize(torch.from_numpy(x).to(device), dim=1) for x in (features.train, features.test)
    )
    labels = torch.from_numpy(features.train_labels).to(device)
    predictions, similarity = [], []
    for rows in test.split(ROWS):
        cosine, nearest = (rows @ train.T).topk(min(neighbours, len(train)), dim=1)
        predictions.append(
            one_hot(labels[nearest]).sum(1).argmax(1).cpu()
            if neighbours > 1
            else labels[nearest[:, 0]].cpu()
        )
        similarity.append(cosine[:, 0].cpu())
    return KnnResult(torch.cat(predictions).numpy(), torch.cat(similarity).numpy())
