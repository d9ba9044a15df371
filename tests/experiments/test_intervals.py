"""Confidence intervals hold the truth as often as they say, in worlds whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from c2vl.experiments.intervals import interval

WORLDS = 400


def world(
    rng: np.random.Generator, of_seeds: float, of_people: float, seeds: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Differences (seeds, clips) of two methods that are equally good, and the clips' people.

    Seeds and people each favour one of the two; a wrong or right answer is -1, 0 or 1.
    """
    people = np.repeat(np.arange(20), rng.integers(5, 25, 20))
    latent = (
        of_seeds * rng.normal(size=(seeds, 1))
        + of_people * rng.normal(size=20)[people]
        + 0.5 * rng.normal(size=len(people))
        + rng.normal(size=(seeds, len(people)))
    )
    return np.sign(latent) * (np.abs(latent) > 1), people


@pytest.mark.parametrize(
    ("of_seeds", "of_people"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.3), (0.3, 0.3), (0.1, 0.3)]
)
def test_a_95_percent_interval_holds_the_truth_in_95_percent_of_worlds(
    of_seeds: float, of_people: float
) -> None:
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(WORLDS):
        found = interval(*world(rng, of_seeds, of_people), draws=500)
        assert found is not None
        held += found.low <= 0 <= found.high
    assert 0.93 <= held / WORLDS <= 0.995


def test_a_true_difference_is_found_and_the_interval_shrinks_with_its_causes() -> None:
    rng = np.random.default_rng(3)
    values, people = world(rng, 0.05, 0.05)
    better = interval(values + 0.2, people)
    assert better is not None and better.low > 0
    few, many = (interval(*world(np.random.default_rng(1), 0.6, 0.0, n)) for n in (4, 60))
    assert few is not None and many is not None
    assert many.high - many.low < (few.high - few.low) / 2


def test_people_are_drawn_whole() -> None:
    """Clips that repeat each other are worth one clip: repeating them leaves the interval."""
    rng = np.random.default_rng(0)
    values, people = rng.integers(0, 2, (5, 40)), np.arange(40)
    once = interval(values, people)
    thrice = interval(np.tile(values, 3), np.tile(people, 3))
    assert once == thrice


def test_equal_methods_differ_by_nothing_and_one_seed_says_nothing() -> None:
    values, people = np.zeros((5, 30)), np.arange(30) % 6
    found = interval(values, people)
    assert found is not None and (found.low, found.mean, found.high) == (0, 0, 0)
    assert interval(values[:1], people) is None
    assert interval(values, np.zeros(30)) is None


def test_equal_arguments_give_equal_intervals() -> None:
    values, people = world(np.random.default_rng(5), 0.1, 0.1)
    assert interval(values, people) == interval(values, people)
    assert interval(values, people) != interval(values, people, seed=1)
