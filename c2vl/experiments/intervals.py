"""Confidence intervals of an accuracy, or of a difference of two, over seeds and test clips.

Two runs of a method differ by their seed; all runs see the same test clips. So the two are
crossed: a difference that stems from the seeds shrinks with more seeds, one that stems from the
clips does not. Clips of one person resemble each other and are drawn together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

DRAWS = 4000


@dataclass(frozen=True)
class Interval:
    """Mean with the ends of its interval, in the unit of the values."""

    mean: float
    low: float
    high: float


def interval(
    values: NDArray[Any],
    clusters: NDArray[Any],
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval | None:
    """Interval of the mean of `values` by a bootstrap over seeds and clusters of clips.

    Each draw takes seeds with replacement, and clusters with replacement, independently (the
    pigeonhole bootstrap of Owen 2007). It takes one fewer than there are, which makes the variance
    unbiased (Rao and Wu 1988). A handful of seeds has heavier tails than a normal distribution, so
    the quantiles are stretched by Student's t, with the degrees of freedom of the two variances
    together (Satterthwaite).

    Args:
        values: (seeds, clips): 1 for a right answer and 0 for a wrong one; of a paired comparison,
            the difference of two such arrays with the same seeds and clips.
        clusters: (clips,) what is drawn together: the person of each clip.
        level: of confidence.
        draws: number of resamples.
        seed: of the draws; equal arguments give equal intervals.

    Returns:
        None with fewer than two seeds or two clusters: nothing says how much another one changes.
    """
    _, of = np.unique(clusters, return_inverse=True)
    clips = np.bincount(of)
    seeds, people = len(values), len(clips)
    if min(seeds, people) < 2:
        return None
    sums = np.stack([np.bincount(of, row, people) for row in values.astype(np.float64)])
    mean = float(sums.sum() / (seeds * clips.sum()))
    rng = np.random.default_rng(seed)
    of_seeds = rng.multinomial(seeds - 1, np.full(seeds, 1 / seeds), draws)
    of_people = rng.multinomial(people - 1, np.full(people, 1 / people), draws)
    drawn = ((of_seeds @ sums) * of_people).sum(1) / ((seeds - 1) * (of_people @ clips))
    tail = (1 - level) / 2
    stretch = t.ppf(1 - tail, _freedom(sums, clips)) / norm.ppf(1 - tail)
    low, high = mean + stretch * (np.quantile(drawn, [tail, 1 - tail]) - mean)
    return Interval(mean, float(low), float(high))


def interval_of_means(means: Sequence[float], level: float = 0.95) -> Interval | None:
    """Student's interval of the mean of independent seeds; None with fewer than two."""
    count = len(means)
    if count < 2:
        return None
    mean = float(np.mean(means))
    half = t.ppf((1 + level) / 2, count - 1) * float(np.std(means, ddof=1)) / count**0.5
    return Interval(mean, mean - half, mean + half)


def _freedom(sums: NDArray[Any], clips: NDArray[np.int64]) -> float:
    """Degrees of freedom of the variance over seeds plus that over clusters."""
    seeds, people = sums.shape
    over_seeds = float(np.var(sums.sum(1) / clips.sum(), ddof=1)) / seeds
    of_people = sums.mean(0)
    residual = of_people - clips * of_people.sum() / clips.sum()
    over_people = float((residual**2).sum()) / clips.sum() ** 2 * people / (people - 1)
    parts = over_seeds**2 / (seeds - 1) + over_people**2 / (people - 1)
    return (over_seeds + over_people) ** 2 / parts if parts else float(people - 1)
