"""Pictures before an engine sees them: squared if asked, resized, normalised, the text beside them. Needs no engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from c2vl.prompts.engines.square import Colour, pad_to_square
from c2vl.prompts.engines.together import Together

if TYPE_CHECKING:
    import torch

    from c2vl.prompts.engines.inputs import Inputs


@dataclass(frozen=True)
class Pictures:
    """Makes an engine's inputs of images, in any thread, or pickled in any process.

    Attributes:
        together: the processor.
        dtype: of numbers with a fraction.
        square: colour to pad images with until they are square; None leaves them as they are.
    """

    together: Together
    dtype: torch.dtype
    square: Colour | None = None

    def __call__(self, images: Sequence[np.ndarray]) -> list[Inputs]:
        """One item for each image (H, W, 3) uint8 RGB."""
        if self.square is not None:
            images = [pad_to_square(image, self.square) for image in images]
        return self.together(self.dtype, images)


@dataclass(frozen=True)
class Sized:
    """An image after everything that needs no engine, and the pixels it had."""

    inputs: Inputs
    height: int
    width: int


@dataclass(frozen=True)
class SizedPictures:
    """`Pictures` that remember the sizes of the images."""

    pictures: Pictures

    def __call__(self, images: Sequence[np.ndarray]) -> list[Sized]:
        """One item for each image (H, W, 3) uint8 RGB."""
        return [
            Sized(inputs, *image.shape[:2])
            for inputs, image in zip(self.pictures(images), images, strict=True)
        ]
