"""Choose the persons of a clip when a file has more of them than the skeleton has slots."""

from __future__ import annotations

import numpy as np


def choose_persons(joints: np.ndarray, most: int, scored: bool) -> np.ndarray:
    """Keep `most` persons; empty slots are filled with zeros.

    Up to `most` persons stay in the file's order; those who are never there are left out. Of more,
    the liveliest are kept, the liveliest first: a person's liveliness is the variance of their
    joints over the frames in which they are there, summed over joints and coordinates (NTU RGB+D's
    rule), times the share of these frames in the clip. With scores, a joint's variance counts as
    much as its mean score. So a passer-by and a glimpse lose against the people of the action.

    Args:
        joints: (T, P, V, 3); zero where a person is absent.
        most: slots M.
        scored: whether the third number of a joint is a score (2D).

    Returns:
        (T, M, V, 3).
    """
    frames, _, count, numbers = joints.shape
    there = np.asarray(joints.any(axis=(2, 3)))  # (T, P)
    chosen = np.flatnonzero(there.any(axis=0))
    if len(chosen) > most:
        lively = [liveliness(joints[:, person], there[:, person], scored) for person in chosen]
        chosen = chosen[np.argsort(lively, kind="stable")[::-1][:most]]
    kept = np.zeros((frames, most, count, numbers), np.float32)
    kept[:, : len(chosen)] = joints[:, chosen]
    return kept


def liveliness(joints: np.ndarray, there: np.ndarray, scored: bool) -> float:
    """How much a person moves, as above; joints (T, V, 3), and `there` (T,) in which frames."""
    seen = joints[there].astype(np.float64)
    share = float(there.mean())
    if not scored:
        return float(seen.var(axis=0).sum()) * share
    weight = seen[..., 2].mean(axis=0)  # (V,)
    return float((seen[..., :2].var(axis=0).sum(axis=-1) * weight).sum()) * share
