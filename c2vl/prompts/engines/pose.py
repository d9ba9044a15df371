"""The pose engine: finds COCO's 17 joints of each person in a picture, by ViTPose or ViTPose+."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from c2vl.core.errors import UserError
from c2vl.prompts.engines.batching import Batching
from c2vl.prompts.engines.engine_params import EngineParams, torch_dtype
from c2vl.prompts.engines.fingerprints import fingerprint
from c2vl.prompts.engines.half_precision import example_image
from c2vl.prompts.engines.pose_crops import Region, cut, joints_of, region, to_image
from c2vl.prompts.engines.pretrained import load_pretrained
from c2vl.prompts.engines.weights import Weights

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

JOINTS = 17
KIND = "vitpose"  # `model_type` of the checkpoints
CPU_BATCH, MAX_BATCH = 32, 512  # people; on a CPU, and the most that is tried on a GPU
MOST_APART = 0.05  # of the crop: from here on, half precision does not find the same joints
SURE = 0.3  # score of a joint from which half precision has to agree


class PoseEngineParams(EngineParams):
    """Section `pose.engine`.

    Attributes:
        dataset_index: which expert of a ViTPose+ checkpoint answers; 0 is COCO's. A checkpoint
            without experts has no use for it.
    """

    ENGINE: ClassVar[str] = "pose"
    ADAPTER_VERSION: ClassVar[int] = 1

    dataset_index: int = Field(default=0, ge=0)

    def expects(self) -> tuple[str, ...]:
        """No optional file changes the outputs: there are no words."""
        return ()


@dataclass(frozen=True)
class PersonCrop:
    """A person as the network wants it: `pixels` (h, w, 3) uint8 RGB show `where` of the image."""

    pixels: np.ndarray
    where: Region


class PoseEngine:
    """Finds the joints of people in batches of crops."""

    def __init__(
        self, params: PoseEngineParams, model: Any, processor: Any, device: torch.device, key: str
    ) -> None:
        import torch

        self.fingerprint = key
        self._model, self._device = model, device
        backbone = model.config.backbone_config
        height, width = backbone.image_size
        self._shape = int(height), int(width)
        self._expert = params.dataset_index if backbone.num_experts > 1 else None
        mean, std = (
            torch.tensor(values, device=device).view(1, 3, 1, 1)
            for values in (processor.image_mean, processor.image_std)
        )
        self._mean, self._std = mean, std
        self._batching = Batching("pose engine", key, device, CPU_BATCH, MAX_BATCH)

    @classmethod
    def load(cls, params: PoseEngineParams, device: torch.device | str) -> PoseEngine:
        """Load a checkpoint onto `device`.

        Half precision that proves wrong here is replaced by float32; the log says so.

        Raises:
            UserError: the checkpoint is missing, unreachable, incomplete, no ViTPose, or finds
                other joints than COCO's.
        """
        import torch
        from transformers import VitPoseForPoseEstimation

        weights, where = params.resolved(), torch.device(device)
        _require_vitpose(weights)

        def load() -> tuple[Any, Any]:
            return load_pretrained(VitPoseForPoseEstimation, weights, torch.float32, where)

        model, processor = load()
        _require_coco(weights, model.config, params)
        engine = cls(params, model, processor, where, fingerprint(params))
        if params.dtype != "float32":
            fault = engine._half_precision_fault(torch_dtype(params))
            if fault:
                engine._model, _ = load()
            outcome = (
                f"is not used here, because {fault}; computing in float32"
                if fault
                else "agrees with float32 on a test image"
            )
            log.info(f"pose: {params.dtype} {outcome}")
        return engine

    def __call__(self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> np.ndarray:
        """Joints (N, 17, 3) of a person in each image: x and y in its pixels, and the score.

        Args:
            images: (H, W, 3) uint8 RGB.
            boxes: (4,) xyxy, one of each image.
        """
        return self.find([self.cut(*pair) for pair in zip(images, boxes, strict=True)])

    def cut(self, image: np.ndarray, box: np.ndarray) -> PersonCrop:
        """Cut a person out of an image (H, W, 3) uint8 RGB; thread-safe, on the CPU.

        Args:
            image: the picture.
            box: (4,) xyxy, pixels.
        """
        where = region(box, self._shape)
        return PersonCrop(cut(image, where, self._shape), where)

    def find(self, people: Sequence[PersonCrop]) -> np.ndarray:
        """Joints (N, 17, 3): x and y in the pixels of each person's image, and the score."""
        found = self._batching.run(people, self._find)
        return np.stack(found) if found else np.zeros((0, JOINTS, 3), np.float32)

    def batch_size(self) -> int:
        """People per batch on this device; see `c2vl.prompts.engines.batching`."""
        whole = np.array([0, 0, self._shape[1], self._shape[0]])
        one = [self.cut(np.zeros((*self._shape, 3), np.uint8), whole)]
        return self._batching.size(lambda count: self._find(one * count))

    def _find(self, people: Sequence[PersonCrop]) -> list[np.ndarray]:
        heatmaps = self._heatmaps(np.stack([person.pixels for person in people]))
        shares, scores = joints_of(heatmaps)
        return [
            np.concatenate([to_image(share, person.where), score[:, None]], 1).astype(np.float32)
            for share, score, person in zip(shares, scores, people, strict=True)
        ]

    def _heatmaps(self, pixels: np.ndarray) -> np.ndarray:
        """Heatmaps (N, 17, h, w) float32 of crops (N, H, W, 3) uint8."""
        import torch

        images = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2)
        values = ((images.float() / 255 - self._mean) / self._std).to(self._model.dtype)
        expert = {}
        if self._expert is not None:
            expert["dataset_index"] = torch.full((len(pixels),), self._expert, device=self._device)
        with torch.inference_mode():
            heatmaps = self._model(pixel_values=values.contiguous(), **expert).heatmaps
        found: np.ndarray = heatmaps[:, :JOINTS].float().cpu().numpy()
        return found

    def _half_precision_fault(self, dtype: torch.dtype) -> str:
        """Convert the model to `dtype`; say what is wrong with its joints of an example, or ""."""
        image = example_image()
        person = [self.cut(image, np.array([130.0, 55.0, 190.0, 235.0]))]
        shares, scores = joints_of(self._heatmaps(np.stack([one.pixels for one in person])))
        self._model.to(dtype)
        try:
            half, half_scores = joints_of(self._heatmaps(person[0].pixels[None]))
        except RuntimeError as error:
            return f"it fails ({' '.join(str(error).split())[:120]})"
        if not (np.isfinite(half).all() and np.isfinite(half_scores).all()):
            return "it computes numbers that are not finite"
        worst = float(np.abs(scores - half_scores).max())
        if worst > MOST_APART:
            return f"its scores differ from float32's by {worst:.2g}"
        sure = scores > SURE
        worst = float(np.abs(shares - half)[sure].max()) if sure.any() else 0.0
        return f"its joints differ from float32's by {worst:.2g} of the crop" * (worst > MOST_APART)


def _require_vitpose(weights: Weights) -> None:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(
            str(weights.folder), local_files_only=True, trust_remote_code=False
        )
        kind = config.model_type
    except (OSError, ValueError, KeyError) as error:
        kind = f"nothing that transformers can read ({' '.join(str(error).split())[:120]})"
    if kind != KIND:
        raise UserError(
            f"'{weights.name}' is no ViTPose checkpoint but {kind}; set `pose.engine.model` to one "
            "such as usyd-community/vitpose-base-simple."
        )


def _require_coco(weights: Weights, config: Any, params: PoseEngineParams) -> None:
    if config.num_labels < JOINTS or not _is_coco(config):
        raise UserError(
            f"'{weights.name}' finds {config.num_labels} joints that are not COCO's 17; set "
            "`pose.engine.model` to a checkpoint for COCO."
        )
    experts = config.backbone_config.num_experts
    if experts > 1 and params.dataset_index >= experts:
        raise UserError(
            f"'{weights.name}' has {experts} experts, so `pose.engine.dataset_index` must be below "
            f"{experts}, not {params.dataset_index}; 0 is COCO's."
        )


def _is_coco(config: Any) -> bool:
    """False if the checkpoint names its joints, and they are not COCO's."""
    names = [str(config.id2label.get(number, "")).lower() for number in range(JOINTS)]
    if all(name.startswith("label_") for name in names):
        return True
    return "nose" in names[0] and "shoulder" in names[5] and "ankle" in names[16]
