"""The detector: finds the people in each frame, with Grounding DINO or another of transformers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from c2vl.prompts.engines.batched_processor import BatchedProcessor
from c2vl.prompts.engines.batching import Batching
from c2vl.prompts.engines.detector_kinds import Grounded, load_kind
from c2vl.prompts.engines.detector_params import DetectorParams
from c2vl.prompts.engines.engine_params import torch_dtype
from c2vl.prompts.engines.fingerprints import fingerprint
from c2vl.prompts.engines.half_precision import example_image, half_precision_fault
from c2vl.prompts.engines.image_inputs import ImagePreparer, SizedImagePreparer, SizedInputs
from c2vl.prompts.engines.model_inputs import ThreadLocalProcessor, group_by_shape, to_batch
from c2vl.prompts.engines.sanity import trying

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

# Images; on a CPU, and the most that is tried on a GPU: a prepared frame takes 10 to 20 MB.
CPU_BATCH, MAX_BATCH = 16, 32
LARGEST_IMAGE = (1080, 1920)  # height and width of NTU RGB+D's videos


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
        self, params: DetectorParams, kind: Grounded, device: torch.device, key: str
    ) -> None:
        self.fingerprint = key
        self._params, self._kind, self._device = params, kind, device
        self._inputs_of_one = ThreadLocalProcessor(kind.processor)
        self._inputs = BatchedProcessor(self._inputs_of_one, **kind.arguments)
        self._batching = Batching("detector", key, device, CPU_BATCH, MAX_BATCH)
        name = f"'{params.model}' ({type(kind.model).__name__})"
        instead = "see docs/engines.md for those that can"
        with trying(name, "cannot be used as a detector here", instead):
            self([example_image()])

    @classmethod
    def load(cls, params: DetectorParams, device: torch.device | str) -> Detector:
        """Load checkpoint and processor onto `device`.

        Half precision that proves wrong here is replaced by float32; the log says so.

        Raises:
            UserError: the checkpoint is missing, unreachable, incomplete or of another kind.
        """
        import torch

        weights, where = params.resolved(), torch.device(device)

        def load() -> Grounded:
            return load_kind(params, weights, torch.float32, where)

        detector = cls(params, load(), where, fingerprint(params))
        if params.dtype != "float32":
            fault = half_precision_fault(
                detector._kind.model, torch_dtype(params), detector._raw_output_of_example
            )
            if fault:
                detector._kind = load()
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
        return SizedImagePreparer(ImagePreparer(self._inputs, self._kind.model.dtype))

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
        inputs = to_batch([one.inputs for one in ready], self._device)
        sizes = [(one.height, one.width) for one in ready]
        found = self._kind.found(self._kind.run(inputs), inputs, sizes)
        return [detections(*one, *size) for one, size in zip(found, sizes, strict=True)]

    def _raw_output_of_example(self, model: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores (Q,) and boxes (Q, 4) of the example image; boxes are shares of the image."""
        ready = self._inputs_of_one(model.dtype, images=example_image(), **self._kind.arguments)
        return self._kind.raw(self._kind.run(to_batch([ready], self._device)))


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
