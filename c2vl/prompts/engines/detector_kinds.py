"""How each kind of detector of transformers is asked for people, and how its outputs are read.

`Grounded`: Grounding DINO and what shares its processor. `Queried`: OWL-ViT and OWLv2. `OmDet`:
OmDet-Turbo. `FixedLabels`: DETR and its descendants, whose labels include `person`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from c2vl.core.boxes import iou
from c2vl.core.errors import UserError
from c2vl.prompts.engines.checkpoint_config import named, read_config
from c2vl.prompts.engines.detector_params import DetectorParams
from c2vl.prompts.engines.pretrained import load_pretrained
from c2vl.prompts.engines.sanity import require_words
from c2vl.prompts.engines.weights import Weights

if TYPE_CHECKING:
    import torch

SAME_OBJECT = 0.5  # IoU from which OmDet-Turbo's boxes are one object; its processor's value
Found = tuple[np.ndarray, np.ndarray]  # boxes (N, 4) xyxy in pixels, scores (N,)


class Grounded:
    """A detector that reads the prompt as a sentence.

    Attributes:
        model: of transformers.
        processor: of transformers, or what does its work.
        arguments: of the processor, besides the images.
    """

    def __init__(self, model: Any, processor: Any, params: DetectorParams) -> None:
        self.model, self.processor, self._params = model, processor, params
        self._check()
        size = params.size()
        self.arguments: dict[str, Any] = {**self._text(), **({"size": size} if size else {})}
        self._accepted = set(inspect.signature(model.forward).parameters)
        self._post = self._post_processing()
        self._post_takes = set(inspect.signature(self._post).parameters)

    @classmethod
    def load_processor(cls, folder: str) -> Any:
        """Load the processor of a checkpoint's folder; None: transformers' own."""
        return None

    def _check(self) -> None:
        require_words(self._params.model, self.processor.tokenizer, self._params.prompt)

    def _text(self) -> dict[str, Any]:
        return {"text": self._params.prompt}

    def _post_processing(self) -> Any:
        return self.processor.post_process_grounded_object_detection

    def run(self, inputs: Mapping[str, torch.Tensor]) -> Any:
        """Compute the model's outputs."""
        import torch

        with torch.inference_mode():
            return self.model(**{k: v for k, v in inputs.items() if k in self._accepted})

    def found(
        self, outputs: Any, inputs: Mapping[str, Any], sizes: Sequence[tuple[int, int]]
    ) -> list[Found]:
        """Boxes and scores of each image.

        Args:
            outputs: of the model.
            inputs: that the model got.
            sizes: height and width of each image, in pixels.
        """
        wanted = {
            "input_ids": inputs.get("input_ids"),
            "threshold": self._params.box_threshold,
            "text_threshold": self._params.text_threshold,
            "target_sizes": list(sizes),
            "use_focal_loss": getattr(self.model.config, "use_focal_loss", True),
        }
        arguments = {name: value for name, value in wanted.items() if name in self._post_takes}
        return [
            (result["boxes"].float().cpu().numpy(), result["scores"].float().cpu().numpy())
            for result in map(self._kept, self._post(outputs, **arguments))
        ]

    def _kept(self, result: dict[str, Any]) -> dict[str, Any]:
        return result

    def raw(self, outputs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores (Q,) and boxes (Q, 4), as shares of the image, of the first image."""
        return outputs.logits[0].float().sigmoid().amax(-1), outputs.pred_boxes[0].float()


class Queried(Grounded):
    """A detector that compares regions with one text for each phrase of the prompt."""

    def _text(self) -> dict[str, Any]:
        return {"text": self._params.phrases()}

    def _check(self) -> None:
        super()._check()
        if self._params.size():
            raise UserError(
                f"'{self._params.model}' ({type(self.model).__name__}) takes images of one size; "
                "set `crop.detector.shortest_edge` and `longest_edge` to null."
            )


class OmDet(Grounded):
    """OmDet-Turbo: a task (`Detect person.`) and the phrases; overlapping boxes are dropped."""

    @classmethod
    def load_processor(cls, folder: str) -> Any:
        """Load a processor that needs no torchvision."""
        from c2vl.prompts.engines.detector_processors import OmDetProcessor

        return OmDetProcessor.from_pretrained(folder)

    def _text(self) -> dict[str, Any]:
        return {"text": self._params.phrases()}

    def _post_processing(self) -> Any:
        return lambda outputs: outputs  # `found` needs none

    def found(
        self, outputs: Any, inputs: Mapping[str, Any], sizes: Sequence[tuple[int, int]]
    ) -> list[Found]:
        """As `OmDetTurboProcessor.post_process_grounded_object_detection`, for people alone."""
        phrases = len(self._params.phrases())
        scores = outputs.decoder_class_logits.float().sigmoid()[..., :phrases].amax(-1)
        centres, extents = outputs.decoder_coord_logits.float().chunk(2, dim=-1)
        corners = np.concatenate(
            [(centres - extents / 2).cpu().numpy(), (centres + extents / 2).cpu().numpy()], -1
        )
        each = zip(corners, scores.cpu().numpy(), sizes, strict=True)
        return [
            self._distinct(boxes * np.array([width, height] * 2, np.float32), score)
            for boxes, score, (height, width) in each
        ]

    def _distinct(self, boxes: np.ndarray, scores: np.ndarray) -> Found:
        """Boxes above the threshold, without those that overlap a better one (NMS)."""
        left = [at for at in np.argsort(-scores, kind="stable").tolist()]
        left = [at for at in left if scores[at] > self._params.box_threshold]
        kept: list[int] = []
        while left:
            best, *rest = left
            kept.append(best)
            overlap = iou(boxes[best], boxes[rest])[0] if rest else np.zeros(0)
            left = [
                at for at, share in zip(rest, overlap.tolist(), strict=True) if share <= SAME_OBJECT
            ]
        return boxes[kept], scores[kept]

    def raw(self, outputs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """As `Grounded`."""
        scores = outputs.decoder_class_logits[0].float().sigmoid().amax(-1)
        return scores, outputs.decoder_coord_logits[0].float()


class FixedLabels(Grounded):
    """A detector with fixed labels; the boxes of those that the prompt names are used."""

    def _check(self) -> None:
        labels = {int(at): str(name) for at, name in self.model.config.id2label.items()}
        wanted = {phrase.casefold() for phrase in self._params.phrases()}
        self._labels = [at for at, name in labels.items() if name.strip().casefold() in wanted]
        if not self._labels:
            some = ", ".join(repr(name) for name in list(labels.values())[:3])
            raise UserError(
                f"'{self._params.model}' ({type(self.model).__name__}) has no label "
                f"`{' or '.join(self._params.phrases())}`: its {len(labels)} labels are {some}, …; "
                "use a detector that was trained to find people, for example on COCO."
            )

    def _text(self) -> dict[str, Any]:
        return {}

    def _post_processing(self) -> Any:
        images = getattr(self.processor, "image_processor", self.processor)
        return images.post_process_object_detection

    def _kept(self, result: dict[str, Any]) -> dict[str, Any]:
        import torch

        labels = result["labels"]
        people = torch.isin(labels, torch.tensor(self._labels, device=labels.device))
        return {"boxes": result["boxes"][people], "scores": result["scores"][people]}


class RfDetr(FixedLabels):
    """RF-DETR."""

    @classmethod
    def load_processor(cls, folder: str) -> Any:
        """Load an image processor that needs no torchvision."""
        from c2vl.prompts.engines.detector_processors import RfDetrImages

        return RfDetrImages.from_pretrained(folder, local_files_only=True)


SPECIAL = {"owlvit": Queried, "owlv2": Queried, "omdet-turbo": OmDet, "rf_detr": RfDetr}


def load_kind(
    params: DetectorParams, weights: Weights, dtype: torch.dtype, device: torch.device
) -> Grounded:
    """Load a detector as what it is.

    Raises:
        UserError: the checkpoint is no detector of people, or cannot be loaded.
    """
    from transformers import AutoModelForObjectDetection, AutoModelForZeroShotObjectDetection
    from transformers.models.auto import modeling_auto as known

    config = read_config(weights)
    auto: Any = AutoModelForObjectDetection
    if config.model_type in known.MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES:
        kind, auto = SPECIAL.get(config.model_type, Grounded), AutoModelForZeroShotObjectDetection
    elif config.model_type in known.MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES:
        kind = SPECIAL.get(config.model_type, FixedLabels)
    else:
        raise UserError(
            f"'{weights.name}' is a {named(config)}, which is no detector; use one such as "
            "Grounding DINO, OWLv2 or RT-DETR (docs/engines.md)."
        )
    model, processor = load_pretrained(auto, weights, dtype, device, kind.load_processor)
    return kind(model, processor, params)
