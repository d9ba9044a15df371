"""Which clips have labels in the semi-supervised protocol: class-balanced, seeded draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def draw_labelled(
    samples: Sequence[str], labels: np.ndarray, fraction: float, draw: int, seed: int
) -> np.ndarray:
    """Rows (int64, sorted) of the clips that keep their label: the same share of every class.

    Every class keeps at least one. The draw depends on the clips' ids, not on their order, so that
    every stream and every start sees the same ones.

    Args:
        samples: ids of the N training clips.
        labels: (N,).
        fraction: share of each class, rounded to whole clips.
        draw: number of the draw, from 0.
        seed: of all draws.
    """
    ids = np.asarray(samples, dtype=str)
    generator = np.random.default_rng([seed, round(fraction * 1_000_000), draw])
    chosen = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rows = rows[np.argsort(ids[rows])]
        count = max(1, round(fraction * len(rows)))
        chosen.append(rows[generator.permutation(len(rows))[:count]])
    return np.sort(np.concatenate(chosen))
