"""Image processors for detectors whose own ones need torchvision, which C²VL does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers import AutoImageProcessor, AutoTokenizer, BatchFeature
from transformers.models.deformable_detr.image_processing_pil_deformable_detr import (
    DeformableDetrImageProcessorPil,
)

from c2vl.prompts.engines.processors import IMAGES, OFFLINE

MAX_TOKENS = 77  # of OmDet-Turbo's texts, which are filled up to it


class RfDetrImages(DeformableDetrImageProcessorPil):
    """What `RfDetrImageProcessor` computes: bilinear interpolation, not smoothed when it shrinks.

    Its detections are read as Deformable DETR's are: the sigmoid of each label's logit.
    """

    def resize(self, image: np.ndarray, size: Any, *args: Any, **kwargs: Any) -> np.ndarray:
        """Resize an image (C, H, W) as `torchvision.transforms.v2` does without antialiasing."""
        if not (size.height and size.width):
            resized: np.ndarray = super().resize(image, size, *args, **kwargs)
            return resized
        pixels = torch.from_numpy(np.ascontiguousarray(image)).float()[None]
        shape = (size.height, size.width)
        scaled = torch.nn.functional.interpolate(
            pixels, shape, mode="bilinear", align_corners=False
        )
        return scaled[0].numpy()


class OmDetProcessor:
    """What `OmDetTurboProcessor` computes, except for the detections (`detector_kinds`)."""

    def __init__(self, image_processor: Any, tokenizer: Any) -> None:
        self.image_processor, self.tokenizer = image_processor, tokenizer

    @classmethod
    def from_pretrained(cls, folder: str) -> OmDetProcessor:
        """Load image processor and tokenizer from a checkpoint's folder."""
        images = AutoImageProcessor.from_pretrained(folder, **IMAGES)
        return cls(images, AutoTokenizer.from_pretrained(folder, **OFFLINE))

    def __call__(
        self, images: np.ndarray, text: list[str], return_tensors: str = "pt", **sizes: Any
    ) -> BatchFeature:
        """Inputs of one image (H, W, 3) uint8 RGB for the classes `text`."""
        filled = {"padding": "max_length", "truncation": True, "max_length": MAX_TOKENS}
        asked = {"tasks": [f"Detect {', '.join(text)}."], "classes": text}
        made = self.image_processor(images=images, return_tensors=return_tensors, **sizes)
        inputs = dict(made)
        for name, texts in asked.items():
            tokens = self.tokenizer(texts, return_tensors=return_tensors, **filled)
            for key in ("input_ids", "attention_mask"):
                inputs[f"{name}_{key}"] = tokens[key]
        return BatchFeature({**inputs, "classes_structure": torch.tensor([len(text)])})
