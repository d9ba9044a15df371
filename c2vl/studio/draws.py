"""Draws that decide how a sentence is worded."""

from __future__ import annotations

import numpy as np


class Draws:
    """Named draws; a subclass gives each its number."""

    def number(self, choice: str) -> float:
        """The number in 0…1 of a choice."""
        raise NotImplementedError

    def happens(self, choice: str, share: float) -> bool:
        """True for a share of the draws."""
        return self.number(choice) < share

    def pick(self, choice: str, *options: str) -> str:
        """One of the options, each for as many draws."""
        return options[min(int(self.number(choice) * len(options)), len(options) - 1)]


class Chance(Draws):
    """Random draws."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def number(self, choice: str) -> float:
        """A new random number."""
        return float(self._rng.random())
