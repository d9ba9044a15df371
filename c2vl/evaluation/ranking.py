"""How well queries find their candidates: unit rows, ranks that count ties as wrong, and chance."""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import NDArray


def unit(rows: np.ndarray) -> NDArray[np.float32]:
    """Scale rows (N, D) to length 1, float32; a row of zeros stays zero."""
    values = np.asarray(rows, np.float32)
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.divide(values, length, out=np.zeros_like(values), where=length > 0)


def wrong_before(similarity: np.ndarray, right: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count, for each query, wrong candidates at least as similar as its best right one.

    0 means that a right candidate comes first. Equal similarities count against the encoder, so
    that a space collapsed into one point scores nothing.

    Args:
        similarity: (N, M), a row a query.
        right: (N, M), at least one True a row.
    """
    best = np.where(right, similarity, -np.inf).max(axis=1, keepdims=True)
    return ((similarity >= best) & ~right).sum(axis=1)


def chance(right: np.ndarray, candidates: int, k: int) -> float:
    """Mean chance of a right candidate among `k` of `candidates` drawn at random.

    Args:
        right: (N,) number of right candidates of each query.
    """
    drawn = min(k, candidates)
    return float(
        np.mean([1 - comb(candidates - int(r), drawn) / comb(candidates, drawn) for r in right])
    )
