"""The detector: where the people are in each frame (Grounding DINO, or any zero-shot detector of transformers)."""

from __future__ import annotations

import inspect
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from c2vl.engines.base import EngineParams, torch_dtype
from c2vl.engines.fingerprints import fingerprint
from c2vl.engines.loading import load_pretrained
from c2vl.engines.weights import resolve

if TYPE_CHECKING:
    import torch


class DetectorParams(EngineParams):
    """Section `crop.detector`.

    Attributes:
        prompt: what to look for, lower case and with a full stop, as Grounding DINO wants it.
        box_threshold: boxes below this score are dropped.
        text_threshold: words of the prompt below this score do not count towards a box's label.
    """

    ENGINE: ClassVar[str] = "detector"
    ADAPTER_VERSION: ClassVar[int] = 1

    prompt: str = "person."
    box_threshold: float = Field(default=0.3, ge=0, le=1)
    text_threshold: float = Field(default=0.25, ge=0, le=1)


@dataclass(frozen=True)
class Detections:
    """The people of one image, best first: boxes (N, 4) float32 xyxy in its pixels, scores (N,) float32."""

    boxes: np.ndarray
    scores: np.ndarray


class Detector:
    """Finds people in batches of images."""

    def __init__(self, params: DetectorParams, model: Any, processor: Any, device: torch.device, key: str) -> None:
        self.fingerprint = key
        self._params, self._model, self._processor, self._device = params, model, processor, device
        post = getattr(processor, "post_process_grounded_object_detection", None)
        self._post_takes = set(inspect.signature(post).parameters) if post else set()

    @classmethod
    def load(cls, params: DetectorParams, device: torch.device | str) -> Detector:
        """Load checkpoint and processor onto `device`.

        Raises:
            UserError: the checkpoint is missing, unreachable, incomplete or of another kind.
        """
        import torch
        from transformers import AutoModelForZeroShotObjectDetection

        weights = resolve(params.model, params.revision)
        model, processor = load_pretrained(AutoModelForZeroShotObjectDetection, weights, torch_dtype(params))
        where = torch.device(device)
        return cls(params, model.to(where).eval(), processor, where, fingerprint(params))

    def __call__(self, images: list[np.ndarray]) -> list[Detections]:
        """Detect people in each image (H, W, 3) uint8 RGB.

        Images of equal size share a forward pass. Those of another size get their own: padding them to a
        common size would let an image's boxes depend on its neighbours.
        """
        of_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, image in enumerate(images):
            of_size[image.shape[:2]].append(index)
        found: dict[int, Detections] = {}
        for indices in of_size.values():
            found.update(zip(indices, self._detect([images[index] for index in indices]), strict=True))
        return [found[index] for index in range(len(images))]

    def _detect(self, images: list[np.ndarray]) -> list[Detections]:
        """Detect in images of one size, in one forward pass."""
        import torch

        inputs = self._processor(images=images, text=[self._params.prompt] * len(images), return_tensors="pt")
        inputs = inputs.to(self._device, self._model.dtype)
        with torch.inference_mode():
            outputs = self._model(**inputs)
        height, width = images[0].shape[:2]
        wanted = {
            "input_ids": inputs.get("input_ids"),
            "threshold": self._params.box_threshold,
            "text_threshold": self._params.text_threshold,
            "target_sizes": [(height, width)] * len(images),
        }
        arguments = {name: value for name, value in wanted.items() if name in self._post_takes}
        results = self._processor.post_process_grounded_object_detection(outputs, **arguments)
        return [_clipped(result["boxes"], result["scores"], width, height) for result in results]


def _clipped(boxes: torch.Tensor, scores: torch.Tensor, width: int, height: int) -> Detections:
    """Boxes cut to the image, empty ones dropped, best first."""
    corners = boxes.float().cpu().numpy().reshape(-1, 4).clip(0, np.array([width, height, width, height], np.float32))
    confidence = scores.float().cpu().numpy()
    kept = np.flatnonzero((corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1]))
    order = kept[np.argsort(-confidence[kept], kind="stable")]
    return Detections(corners[order], confidence[order])
