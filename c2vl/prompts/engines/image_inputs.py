"""From images to a model's inputs: pad, resize, normalise, add the text. Needs no device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from c2vl.prompts.engines.batched_processor import BatchedProcessor
from c2vl.prompts.engines.pad_to_square import Colour, pad_to_square
from c2vl.prompts.engines.pixel_budget import shrunk

if TYPE_CHECKING:
    import torch

    from c2vl.prompts.engines.model_inputs import Inputs


@dataclass(frozen=True)
class ImagePreparer:
    """Turns images into an engine's inputs, in any thread, or pickled in any process.

    Attributes:
        processor: resizes and normalises, and adds the tokens of the text.
        dtype: of floating-point tensors.
        square: colour to pad images with until they are square; None leaves them as they are.
        max_pixels: larger images are scaled down; None leaves them as they are.
    """

    processor: BatchedProcessor
    dtype: torch.dtype
    square: Colour | None = None
    max_pixels: int | None = None

    def __call__(self, images: Sequence[np.ndarray]) -> list[Inputs]:
        """The inputs of each image (H, W, 3) uint8 RGB."""
        if self.square is not None:
            images = [pad_to_square(image, self.square) for image in images]
        if self.max_pixels is not None:
            images = [shrunk(image, self.max_pixels) for image in images]
        return self.processor(self.dtype, images)


@dataclass(frozen=True)
class SizedInputs:
    """The inputs of one image, and its size in pixels before it was resized."""

    inputs: Inputs
    height: int
    width: int


@dataclass(frozen=True)
class SizedImagePreparer:
    """An `ImagePreparer` that also keeps the sizes of the images."""

    preparer: ImagePreparer

    def __call__(self, images: Sequence[np.ndarray]) -> list[SizedInputs]:
        """The inputs and size of each image (H, W, 3) uint8 RGB."""
        return [
            SizedInputs(inputs, *image.shape[:2])
            for inputs, image in zip(self.preparer(images), images, strict=True)
        ]
