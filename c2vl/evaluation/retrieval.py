"""Skeletons by a sentence and sentences by a skeleton, in the shared space.

A query's rank is one more than the number of wrong candidates that are at least as similar as its
best right one. Clips whose answers are the same sentence are right answers for each other, because
nothing in the query tells them apart.
"""

from __future__ import annotations

import numpy as np

from c2vl.evaluation.encoded import Array
from c2vl.evaluation.ranking import chance, wrong_before

RECALL = (1, 5, 10)
ROWS = 512  # queries compared at once


def ranks(
    queries: Array, candidates: Array, query_groups: np.ndarray, candidate_groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return each query's rank of its best right candidate, from 1, and its nearest candidate.

    Both are (N,) and go by dot product.

    Args:
        queries: (N, d).
        candidates: (M, d).
        query_groups: (N,) identities; a candidate is right for a query of the same group.
        candidate_groups: (M,).

    Raises:
        ValueError: a query has no right candidate.
    """
    found: list[np.ndarray] = []
    nearest: list[np.ndarray] = []
    for start in range(0, len(queries), ROWS):
        similarity = queries[start : start + ROWS] @ candidates.T  # (n, M)
        right = query_groups[start : start + ROWS, None] == candidate_groups[None, :]
        if not right.any(1).all():
            raise ValueError("a query has no right candidate")
        found.append(1 + wrong_before(similarity, right))
        nearest.append(similarity.argmax(1))
    none = [np.zeros(0, np.int64)]
    return np.concatenate(found or none), np.concatenate(nearest or none)


def both_ways(
    skeletons: Array, sentences: Array, groups: np.ndarray, labels: np.ndarray
) -> dict[str, object]:
    """Retrieval between N clips' skeletons and the M distinct ones of their sentences.

    Args:
        skeletons: (N, d) unit rows.
        sentences: (N, d) unit rows, each clip's sentence; equal in a group.
        groups: (N,) identity of each clip's sentence.
        labels: (N,) classes.

    Returns:
        `sentence_to_skeleton` and `skeleton_to_sentence`, each with `recall1`, `recall5`,
        `recall10` (shares of the queries), `chance1` … (expected of a random order), `median_rank`
        and `same_class` (share of the queries whose first answer is of a clip, or an answer on a
        clip, of the query's class); `clips` N and `sentences` M.
    """
    identity, first = np.unique(groups, return_index=True)
    classes_of = [set(labels[groups == group].tolist()) for group in identity]
    count = np.bincount(np.searchsorted(identity, groups), minlength=len(identity))
    one = sentences[first]
    rank, nearest = ranks(one, skeletons, identity, groups)
    same = [int(labels[at]) in own for at, own in zip(nearest, classes_of, strict=True)]
    by_sentence = {**_summary(rank, count, len(groups)), "same_class": float(np.mean(same))}
    rank, nearest = ranks(skeletons, one, groups, identity)
    same = [int(label) in classes_of[at] for at, label in zip(nearest, labels, strict=True)]
    by_skeleton = {
        **_summary(rank, np.ones(len(groups)), len(identity)),
        "same_class": float(np.mean(same)),
    }
    counts = {"clips": len(groups), "sentences": len(identity)}
    return {**counts, "sentence_to_skeleton": by_sentence, "skeleton_to_sentence": by_skeleton}


def _summary(rank: np.ndarray, right: np.ndarray, candidates: int) -> dict[str, float]:
    recall = {f"recall{k}": float((rank <= k).mean()) for k in RECALL}
    expected = {f"chance{k}": chance(right, candidates, k) for k in RECALL}
    return {**recall, **expected, "median_rank": float(np.median(rank))}
