"""Draws that follow from a picture, so that a captioner can learn how to word its answer.

A captioner that decodes greedily says the same of equal pictures, and often something else of
similar ones. Trained on random wordings, it would always use the commonest. So each wording of a
training answer is a function of what the crop looks like: of a few broad stripes.
"""

from __future__ import annotations

import math
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from c2vl.studio.draws import Draws
from c2vl.studio.seeds import generator

# Frequencies (vertical, horizontal) of brightness. Horizontal ones are even: a picture and its
# mirror image look alike.
STRIPES = ((1, 0), (2, 0), (3, 0), (4, 0), (0, 2), (1, 2), (2, 2), (3, 2))
NUMBERS = len(STRIPES)
LARGEST = 2.5  # standard deviations
FOLDS = 2.0  # how often a draw runs through 0…1 over all looks


def looks(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The looks (N, NUMBERS) of crops (N, S, S, 3), standardised over the crops."""
    raw = np.array([_frequencies(image) for image in images], np.float32).reshape(-1, NUMBERS)
    spread = np.maximum(raw.std(0), 1e-6)
    return np.clip((raw - raw.mean(0)) / spread, -LARGEST, LARGEST)


def _frequencies(image: NDArray[np.uint8]) -> list[float]:
    """Cosine coefficients of the brightness, relative to the contrast of the picture."""
    brightness = image.mean(axis=2, dtype=np.float32)
    contrast = float(brightness.std()) + 1.0
    coefficients = cv2.dct((brightness - brightness.mean()) / contrast)
    return [float(coefficients[place]) for place in STRIPES]


class Look(Draws):
    """Draws of one look: each choice has its own number, the same for equal looks."""

    def __init__(self, look: NDArray[np.floating]) -> None:
        self._look = look

    def number(self, choice: str) -> float:
        """A projection of the look, folded into 0…1; about uniform over many looks."""
        projection = float(_direction(choice) @ self._look)
        return (FOLDS * 0.5 * (1 + math.erf(projection / math.sqrt(2)))) % 1.0


@cache
def _direction(choice: str) -> NDArray[np.float64]:
    """A random unit vector."""
    direction = generator("wording", choice).normal(size=NUMBERS)
    return direction / np.linalg.norm(direction)
