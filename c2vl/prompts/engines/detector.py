"""The detector: finds the people in each frame.

It runs Grounding DINO, or any other zero-shot detector of transformers.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
from pydantic import Field, model_validator

from c2vl.prompts.engines.batched_processor import BatchedProcessor
from c2vl.prompts.engines.batching import Batching
from c2vl.prompts.engines.engine_params import EngineParams, torch_dtype
from c2vl.prompts.engines.fingerprints import fingerprint
from c2vl.prompts.engines.half_precision import example_image, half_precision_fault
from c2vl.prompts.engines.image_inputs import ImagePreparer, SizedImagePreparer, SizedInputs
from c2vl.prompts.engines.model_inputs import ThreadLocalProcessor, group_by_shape, to_batch
from c2vl.prompts.engines.pretrained import load_pretrained
from c2vl.prompts.engines.sanity import require_words
from c2vl.prompts.engines.weights import original_identity

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

# Images; on a CPU, and the most that is tried on a GPU: a prepared frame takes 10 to 20 MB.
CPU_BATCH, MAX_BATCH = 16, 32
LARGEST_IMAGE = (1080, 1920)  # height and width of NTU RGB+D's videos


class DetectorParams(EngineParams):
    """Section `crop.detector`.

    Attributes:
        backend: the package that computes. `groundingdino` is groundingdino-py in an environment
            of its own; `model` is then an original `.pth` file, and `dtype` is float32.
        prompt: what to look for, in lower case and with a full stop, as Grounding DINO expects.
        box_threshold: boxes with a lower score are dropped.
        text_threshold: words of the prompt with a lower score do not count towards a box's label.
        shortest_edge: frames are scaled until their shorter side has this many pixels; None is the
            checkpoint's own size.
        longest_edge: the longer side has at most this many pixels.
    """

    ENGINE: ClassVar[str] = "detector"
    ADAPTER_VERSION: ClassVar[int] = 2

    backend: Literal["transformers", "groundingdino"] = "transformers"
    prompt: str = "person."
    box_threshold: float = Field(default=0.3, ge=0, le=1)
    text_threshold: float = Field(default=0.25, ge=0, le=1)
    shortest_edge: int | None = Field(default=None, ge=32)
    longest_edge: int | None = Field(default=None, ge=32)

    @model_validator(mode="after")
    def _has_what_the_backend_can(self) -> DetectorParams:
        if self.backend == "groundingdino" and self.dtype != "float32":
            raise ValueError("the backend groundingdino computes in `dtype: float32` only")
        return self

    def identity(self) -> str:
        """Identity of the checkpoint; for an original file, of its content and the package."""
        if self.backend == "groundingdino":
            return original_identity(self.model)
        return super().identity()

    def size(self) -> dict[str, int] | None:
        """The image processor's `size`; None leaves the checkpoint's own."""
        if self.shortest_edge is None and self.longest_edge is None:
            return None
        shortest = self.shortest_edge or self.longest_edge
        longest = self.longest_edge or self.shortest_edge
        assert shortest is not None and longest is not None
        return {"shortest_edge": shortest, "longest_edge": max(shortest, longest)}


@dataclass(frozen=True)
class Detections:
    """The people in one image, best first.

    Attributes:
        boxes: (N, 4) float32, xyxy in pixels of the image.
        scores: (N,) float32.
    """

    boxes: np.ndarray
    scores: np.ndarray


class PeopleDetector(Protocol):
    """What the crop stage needs of a detector, whichever package runs it."""

    fingerprint: str

    def prepare(self, images: Sequence[np.ndarray]) -> list[Any]:
        """Turn images (H, W, 3) uint8 RGB into what `detect` takes; thread-safe, on the CPU."""

    def detect(self, ready: Sequence[Any]) -> list[Detections]:
        """Find the people in each prepared image."""

    def batch_size(self) -> int:
        """Images to pass to `detect` at once."""


class Detector:
    """Finds people in batches of images."""

    def __init__(
        self, params: DetectorParams, model: Any, processor: Any, device: torch.device, key: str
    ) -> None:
        self.fingerprint = key
        self._params, self._model, self._processor, self._device = params, model, processor, device
        require_words(params.model, processor.tokenizer, params.prompt)
        self._inputs_of_one = ThreadLocalProcessor(processor)
        size = params.size()
        self._inputs = BatchedProcessor(
            self._inputs_of_one, text=params.prompt, **({"size": size} if size else {})
        )
        self._batching = Batching("detector", key, device, CPU_BATCH, MAX_BATCH)
        self._post_takes = set(
            inspect.signature(processor.post_process_grounded_object_detection).parameters
        )

    @classmethod
    def load(cls, params: DetectorParams, device: torch.device | str) -> Detector:
        """Load checkpoint and processor onto `device`.

        Half precision that proves wrong here is replaced by float32; the log says so.

        Raises:
            UserError: the checkpoint is missing, unreachable, incomplete or of another kind.
        """
        import torch
        from transformers import AutoModelForZeroShotObjectDetection

        weights, where = params.resolved(), torch.device(device)

        def load() -> tuple[Any, Any]:
            kind = AutoModelForZeroShotObjectDetection
            return load_pretrained(kind, weights, torch.float32, where)

        detector = cls(params, *load(), where, fingerprint(params))
        if params.dtype != "float32":
            fault = half_precision_fault(
                detector._model, torch_dtype(params), detector._raw_output_of_example
            )
            if fault:
                detector._model, _ = load()
            outcome = (
                f"is not used here, because {fault}; computing in float32"
                if fault
                else "agrees with float32 on a test image"
            )
            log.info(f"detector: {params.dtype} {outcome}")
        return detector

    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """Detect people in each image (H, W, 3) uint8 RGB."""
        return self.detect(self.prepare(images))

    @property
    def preparer(self) -> SizedImagePreparer:
        """What `prepare` does, as an object that other processes can run."""
        return SizedImagePreparer(ImagePreparer(self._inputs, self._model.dtype))

    def prepare(self, images: Sequence[np.ndarray]) -> list[SizedInputs]:
        """Resize and normalise images (H, W, 3) uint8 RGB; thread-safe, on the CPU."""
        return self.preparer(images)

    def detect(self, ready: Sequence[SizedInputs]) -> list[Detections]:
        """Detect people in prepared images.

        Images of equal size share a forward pass; those of another size get one of their own.
        Padding them to a common size would let an image's boxes depend on its neighbours.
        """
        found: dict[int, Detections] = {}
        for indices in group_by_shape([one.inputs for one in ready]):
            group = self._batching.run([ready[index] for index in indices], self._detect)
            found.update(zip(indices, group, strict=True))
        return [found[index] for index in range(len(ready))]

    def batch_size(self) -> int:
        """Images per batch on this device; see `c2vl.prompts.engines.batching`."""
        one = self.prepare([np.zeros((*LARGEST_IMAGE, 3), np.uint8)])
        return self._batching.size(lambda count: self._detect(one * count))

    def _detect(self, ready: Sequence[SizedInputs]) -> list[Detections]:
        """Detect in images of one size, in one forward pass."""
        import torch

        inputs = to_batch([one.inputs for one in ready], self._device)
        with torch.inference_mode():
            outputs = self._model(**inputs)
        wanted = {
            "input_ids": inputs.get("input_ids"),
            "threshold": self._params.box_threshold,
            "text_threshold": self._params.text_threshold,
            "target_sizes": [(one.height, one.width) for one in ready],
        }
        arguments = {name: value for name, value in wanted.items() if name in self._post_takes}
        results = self._processor.post_process_grounded_object_detection(outputs, **arguments)
        return [
            detections(
                result["boxes"].float().cpu().numpy(),
                result["scores"].float().cpu().numpy(),
                one.height,
                one.width,
            )
            for result, one in zip(results, ready, strict=True)
        ]

    def _raw_output_of_example(self, model: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores (Q,) and boxes (Q, 4) of the example image; boxes are shares of the image."""
        import torch

        ready = self._inputs_of_one(model.dtype, images=example_image(), text=self._params.prompt)
        with torch.inference_mode():
            outputs = model(**to_batch([ready], self._device))
        return outputs.logits[0].float().sigmoid().amax(-1), outputs.pred_boxes[0].float()


def detections(boxes: np.ndarray, scores: np.ndarray, height: int, width: int) -> Detections:
    """Clip boxes (N, 4) xyxy to an image, drop empty ones and sort by score, best first.

    Args:
        boxes: in pixels.
        scores: (N,).
        height, width: of the image, in pixels.
    """
    limits = np.array([width, height, width, height], np.float32)
    corners = boxes.reshape(-1, 4).astype(np.float32).clip(0, limits)
    kept = np.flatnonzero((corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1]))
    order = kept[np.argsort(-scores[kept], kind="stable")]
    return Detections(corners[order], scores[order].astype(np.float32))
