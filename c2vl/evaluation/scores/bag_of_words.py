"""How much of the label the answers give away on their own, to a model that only counts words.

The same figure for the authors' published answers (PKU-MMD II, 41 classes, cross-subject) is 48.2 %
from all 16 sentences of a clip and 23.9 % from the middle one: answers that score near 100 % or
near chance would be a world unlike theirs. Words and word pairs, TF-IDF, logistic regression; the
skeleton is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline


def accuracy(
    train: Sequence[str],
    train_labels: Sequence[int],
    test: Sequence[str],
    test_labels: Sequence[int],
) -> float | None:
    """Share of test texts whose label a bag of words predicts.

    It is fitted on the training texts; None if it cannot be fitted.

    A text without words is predicted like any other (its features are zero) and counts.
    """
    if not test or len(set(train_labels)) < 2 or not any(re.search(r"\w", text) for text in train):
        return None
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b"),
        LogisticRegression(C=10.0, max_iter=1000),
    )
    model.fit(list(train), list(train_labels))
    return float(model.score(list(test), list(test_labels)))


def bag_of_words(
    sentences: Mapping[str, Sequence[str]], labels: Mapping[str, int], split: Mapping[str, str]
) -> dict[str, float | int | None]:
    """Classify clips from their sentences alone.

    Args:
        sentences: the K sentences of each sample, in order of time.
        labels: 0-based label of each sample.
        split: `train` or `test` of each sample; others are left out.

    Returns:
        `all` (from all K sentences), `middle` (from sentence K // 2), `chance`, `train` and `test`
        clips.
    """
    members = {
        side: [s for s in sorted(sentences) if split.get(s) == side and sentences[s]]
        for side in ("train", "test")
    }
    y = {side: [labels[s] for s in samples] for side, samples in members.items()}
    result: dict[str, float | int | None] = {
        side: len(samples) for side, samples in members.items()
    }
    views = {
        "all": lambda s: " ".join(sentences[s]),
        "middle": lambda s: sentences[s][len(sentences[s]) // 2],
    }
    for name, view in views.items():
        texts = {side: [view(s) for s in samples] for side, samples in members.items()}
        result[name] = accuracy(texts["train"], y["train"], texts["test"], y["test"])
    classes = len({*y["train"], *y["test"]})
    result["chance"] = 1 / classes if classes else None
    return result
