"""ImagePreparer before an engine sees them: squared if asked, resized, normalised, the text beside them. Needs no engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from c2vl.prompts.engines.batched_processor import BatchedProcessor
from c2vl.prompts.engines.pad_to_square import Colour, pad_to_square

if TYPE_CHECKING:
    import torch

    from c2vl.prompts.engines.model_inputs import Inputs


@dataclass(frozen=True)
class ImagePreparer:
    """Makes an engine's inputs of images, in any thread, or pickled in any process.

    Attributes:
        together: the processor.
        dtype: of numbers with a fraction.
        square: colour to pad images with until they are square; None leaves them as they are.
    """

    together: BatchedProcessor
    dtype: torch.dtype
    square: Colour | None = None

    def __call__(self, images: Sequence[np.ndarray]) -> list[Inputs]:
        """One item for each image (H, W, 3) uint8 RGB."""
        if self.square is not None:
            images = [pad_to_square(image, self.square) for image in images]
        return self.together(self.dtype, images)


@dataclass(frozen=True)
class SizedInputs:
    """An image after everything that needs no engine, and the pixels it had."""

    inputs: Inputs
    height: int
    width: int


@dataclass(frozen=True)
class SizedImagePreparer:
    """`Pictures` that remember the sizes of the images."""

    pictures: ImagePreparer

    def __call__(self, images: Sequence[np.ndarray]) -> list[SizedInputs]:
        """One item for each image (H, W, 3) uint8 RGB."""
        return [
            SizedInputs(inputs, *image.shape[:2])
            for inputs, image in zip(self.pictures(images), images, strict=True)
        ]
