"""The detector: where the people are in each frame (Grounding DINO, or any zero-shot detector of transformers)."""

from __future__ import annotations

import inspect
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
from c2vl.prompts.engines.weights import original_identity, resolve

if TYPE_CHECKING:
    import torch

CPU_BATCH, MAX_BATCH = (
    16,
    32,
)  # on a CPU, and the most that is tried elsewhere: prepared, a frame takes 10 to 20 MB
LARGEST_IMAGE = (1080, 1920)  # NTU RGB+D's videos


class DetectorParams(EngineParams):
    """Section `crop.detector`.

    Attributes:
        backend: which package computes; `groundingdino` is groundingdino-py in an environment of its own, with `model` an
            original `.pth` file, in float32.
        prompt: what to look for, lower case and with a full stop, as Grounding DINO wants it.
        box_threshold: boxes below this score are dropped.
        text_threshold: words of the prompt below this score do not count towards a box's label.
        shortest_edge: frames are scaled until their shorter side has so many pixels; None is the checkpoint's own size.
        longest_edge: and the longer side no more than so many.
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
        """The checkpoint's; of an original file its content's, with the package that computes."""
        return (
            original_identity(self.model) if self.backend == "groundingdino" else super().identity()
        )

    def size(self) -> dict[str, int] | None:
        """The image processor's `size`, where it is asked for."""
        if self.shortest_edge is None and self.longest_edge is None:
            return None
        shortest = self.shortest_edge or self.longest_edge
        longest = self.longest_edge or self.shortest_edge
        assert shortest is not None and longest is not None
        return {"shortest_edge": shortest, "longest_edge": max(shortest, longest)}


@dataclass(frozen=True)
class Detections:
    """The people of one image, best first: boxes (N, 4) float32 xyxy in its pixels, scores (N,) float32."""

    boxes: np.ndarray
    scores: np.ndarray


class PeopleDetector(Protocol):
    """What the crop stage needs of a detector, whichever package runs it."""

    fingerprint: str

    def prepare(self, images: Sequence[np.ndarray]) -> list[Any]:
        """What needs no engine, in any thread: images (H, W, 3) uint8 RGB to what `detect` takes."""

    def detect(self, ready: Sequence[Any]) -> list[Detections]:
        """The people of each prepared image."""

    def batch_size(self) -> int:
        """Images to hand over at once."""


class Detector:
    """Finds people in batches of images."""

    def __init__(
        self, params: DetectorParams, model: Any, processor: Any, device: torch.device, key: str
    ) -> None:
        self.fingerprint = key
        self._params, self._model, self._processor, self._device = params, model, processor, device
        self._processors = ThreadLocalProcessor(processor)
        size = params.size()
        self._together = BatchedProcessor(
            self._processors, text=params.prompt, **({"size": size} if size else {})
        )
        self._batching = Batching("detector", key, device, CPU_BATCH, MAX_BATCH)
        self._post_takes = set(
            inspect.signature(processor.post_process_grounded_object_detection).parameters
        )

    @classmethod
    def load(cls, params: DetectorParams, device: torch.device | str) -> Detector:
        """Load checkpoint and processor onto `device`; in float32 where half precision proves unsound, and say so.

        Raises:
            UserError: the checkpoint is missing, unreachable, incomplete or of another kind.
        """
        import torch
        from transformers import AutoModelForZeroShotObjectDetection

        weights, where = resolve(params.model, params.revision), torch.device(device)
        model, processor = load_pretrained(
            AutoModelForZeroShotObjectDetection, weights, torch.float32, where
        )
        loaded = cls(params, model, processor, where, fingerprint(params))
        if params.dtype != "float32":
            unsound = half_precision_fault(
                loaded._model, torch_dtype(params), loaded._on_a_test_picture
            )
            if unsound:
                loaded._model, _ = load_pretrained(
                    AutoModelForZeroShotObjectDetection, weights, torch.float32, where
                )
            said = (
                f"not sound here, {unsound}; computing in float32"
                if unsound
                else "agrees with float32 on a test picture"
            )
            print(f"detector: {params.dtype} {said}", flush=True)
        return loaded

    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """Detect people in each image (H, W, 3) uint8 RGB."""
        return self.detect(self.prepare(images))

    @property
    def preparer(self) -> SizedImagePreparer:
        """What `prepare` does, for other processes."""
        return SizedImagePreparer(ImagePreparer(self._together, self._model.dtype))

    def prepare(self, images: Sequence[np.ndarray]) -> list[SizedInputs]:
        """Resize and normalise each image (H, W, 3) uint8 RGB; needs no device and may be called in any thread."""
        return self.preparer(images)

    def detect(self, ready: Sequence[SizedInputs]) -> list[Detections]:
        """Detect people in prepared images.

        Images of equal size share a forward pass. Those of another size get their own: padding them to a
        common size would let an image's boxes depend on its neighbours.
        """
        found: dict[int, Detections] = {}
        for indices in group_by_shape([one.inputs for one in ready]):
            found.update(
                zip(
                    indices,
                    self._batching.run([ready[index] for index in indices], self._detect),
                    strict=True,
                )
            )
        return [found[index] for index in range(len(ready))]

    def batch_size(self) -> int:
        """Images at once on this device; see `c2vl.prompts.engines.batching`."""
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

    def _on_a_test_picture(self, model: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores (Q,) and boxes (Q, 4), shares of the image, on one picture."""
        import torch

        ready = self._processors(model.dtype, images=example_image(), text=self._params.prompt)
        with torch.inference_mode():
            outputs = model(**to_batch([ready], self._device))
        return outputs.logits[0].float().sigmoid().amax(-1), outputs.pred_boxes[0].float()


def detections(boxes: np.ndarray, scores: np.ndarray, height: int, width: int) -> Detections:
    """Boxes (N, 4) xyxy cut to an image of `height` x `width` pixels, empty ones dropped, best first."""
    corners = (
        boxes.reshape(-1, 4)
        .astype(np.float32)
        .clip(0, np.array([width, height, width, height], np.float32))
    )
    kept = np.flatnonzero((corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1]))
    order = kept[np.argsort(-scores[kept], kind="stable")]
    return Detections(corners[order], scores[order].astype(np.float32))
