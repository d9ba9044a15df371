"""KNN evaluation: the label of the nearest training clips, by cosine; k = 1 in the papers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize

from c2vl.evaluation.features import Features


@dataclass(frozen=True)
class KnnResult:
    """Predicted labels (N,) of the test split and the cosine (N,) of each clip's nearest training clip."""

    predictions: np.ndarray
    similarity: np.ndarray


def knn_evaluation(features: Features, neighbours: int = 1) -> KnnResult:
    """Classify the test features by a majority of the `neighbours` nearest train features (L2-normalised, cosine)."""
    classifier = KNeighborsClassifier(min(neighbours, len(features.train)), metric="cosine", algorithm="brute")
    classifier.fit(normalize(features.train), features.train_labels)
    test = normalize(features.test)
    distance, _ = classifier.kneighbors(test, n_neighbors=1)
    return KnnResult(classifier.predict(test), 1 - distance[:, 0])
