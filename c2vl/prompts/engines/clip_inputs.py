"""From the crops of clips to a model's inputs: pad, resize, normalise, add the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from c2vl.prompts.engines.captioner import LARGEST_IMAGE, CaptionerParams
from c2vl.prompts.engines.model_inputs import ThreadLocalProcessor
from c2vl.prompts.engines.pad_to_square import Colour, mean_colour, pad_to_square
from c2vl.prompts.engines.pixel_budget import set_pixel_budget, shrunk
from c2vl.prompts.engines.trial import trial_images

if TYPE_CHECKING:
    import torch

    from c2vl.prompts.engines.model_inputs import Inputs

Clip = Sequence[np.ndarray]  # its crops in order, (H, W, 3) uint8 RGB each


@dataclass(frozen=True)
class QuestionPreparer:
    """Turns clips into an engine's inputs, in any thread, or pickled in any process.

    Attributes:
        processor: the checkpoint's.
        prompts: the full prompt by number of crops.
        dtype: of floating-point tensors.
        square: colour to pad crops with until they are square; None leaves them as they are.
        max_pixels: larger crops are scaled down; None leaves them as they are.
    """

    processor: ThreadLocalProcessor
    prompts: Mapping[int, str]
    dtype: torch.dtype
    square: Colour | None = None
    max_pixels: int | None = None

    @classmethod
    def of(
        cls, params: CaptionerParams, processor: Any, config: Any, images: int, dtype: torch.dtype
    ) -> QuestionPreparer:
        """That of a checkpoint, for clips of at most `images` crops.

        It sets `max_pixels` in the image processor, or else in the preparer.
        """
        prompts = {count: params.prompt(processor, count) for count in range(1, images + 1)}
        square = mean_colour(processor.image_processor) if params.pad_to_square else None
        shrink = params.max_pixels
        if shrink and set_pixel_budget(processor.image_processor, config, shrink):
            shrink = None
        return cls(ThreadLocalProcessor(processor), prompts, dtype, square, shrink)

    def __call__(self, clips: Sequence[Clip]) -> list[Inputs]:
        """The inputs of each clip, of at least one crop."""
        return [self._inputs(clip) for clip in clips]

    def _inputs(self, clip: Clip) -> Inputs:
        if self.square is not None:
            clip = [pad_to_square(image, self.square) for image in clip]
        if self.max_pixels is not None:
            clip = [shrunk(image, self.max_pixels) for image in clip]
        # A list of lists: some processors take a flat one for a clip each.
        return self.processor(self.dtype, images=[list(clip)], text=[self.prompts[len(clip)]])


def largest_clip(images: int) -> Clip:
    """A clip of `images` crops of the largest size that occurs."""
    return [np.zeros((*LARGEST_IMAGE, 3), np.uint8)] * images


def sample_clip(images: int) -> Clip:
    """A clip of `images` small crops of noise, for a trial."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (64, 48, 3), dtype=np.uint8) for _ in range(images)]


def trial_clips() -> list[Clip]:
    """Clips of one and two crops, to try which questions may share a batch.

    As with `trial_images`, the first two have equal shapes.
    """
    first, second, *others = trial_images()
    return [
        [first, others[0]],
        [second, others[0]],
        *([image, first] for image in others[1:]),
        [first],
    ]
