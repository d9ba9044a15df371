"""Trains the tiny Grounding DINO on whole frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from c2vl.studio.engines.augment import mirrored_boxes, relit
from c2vl.studio.engines.checkpoints import build, save
from c2vl.studio.engines.configs import DETECTOR_SIZE
from c2vl.studio.engines.detector_loss import cell_centres, dense_proposal_loss
from c2vl.studio.engines.stills_on_disk import Frames
from c2vl.studio.engines.train_loop import Budget, Losses, train

if TYPE_CHECKING:
    import torch

PROMPT = (101, 104, 1012, 102)  # [CLS] person . [SEP]
RATE, WEIGHT_DECAY, BATCH = 1e-3, 1e-4, 8
RECIPE = {"rate": RATE, "weight_decay": WEIGHT_DECAY, "batch": BATCH}
# Weights of DETR for the library's loss; our dense loss replaces its `_enc` terms.
LIBRARY_WEIGHTS = {"ce": 2.0, "bbox": 5.0, "giou": 2.0}


def normalised(images: np.ndarray) -> torch.Tensor:
    """Images (N, H, W, 3) in 0…1 normalised like the processor does: (N, 3, H, W)."""
    import torch

    mean, std = (
        np.array([0.485, 0.456, 0.406], np.float32),
        np.array([0.229, 0.224, 0.225], np.float32),
    )
    return torch.from_numpy(np.ascontiguousarray(((images - mean) / std).transpose(0, 3, 1, 2)))


class DetectorTask:
    """Draws batches of frames and computes all losses of the detector."""

    def __init__(self, frames: Frames, seed: int) -> None:
        import torch

        self._frames, self._rng = frames, np.random.default_rng(seed)
        torch.manual_seed(seed)
        self.model = build("detector")
        # One-to-many scores of the proposals; used in training only.
        self.many = torch.nn.Linear(self.model.config.d_model, 1)
        torch.nn.init.constant_(self.many.bias, -3.0)
        kept: dict[str, torch.Tensor] = {}
        self._proposals = kept

        def keep(module: Any, inputs: Any, output: torch.Tensor) -> None:
            kept["features"] = output

        self.model.model.enc_output_norm.register_forward_hook(keep)
        self._centres: torch.Tensor | None = None

    def parameters(self) -> list[torch.nn.Parameter]:
        """All trained parameters, those of the extra head included."""
        return [*self.model.parameters(), *self.many.parameters()]

    def batch(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """Images (B, H, W, 3) in 0…1 at the detector's size, and boxes (P, 4) cxcywh in 0…1."""
        from PIL import Image

        height, width = DETECTOR_SIZE
        images, boxes = [], []
        for index in self._rng.integers(len(self._frames), size=BATCH):
            frame = Image.fromarray(self._frames[index])
            corners = self._frames.notes[index].boxes / np.tile(frame.size, 2)
            truth = np.concatenate(
                [(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], 1
            )
            image = (
                np.asarray(frame.resize((width, height), Image.Resampling.BILINEAR), np.float32)
                / 255
            )
            if self._rng.random() < 0.5:
                image, truth = image[:, ::-1], mirrored_boxes(truth)
            images.append(image)
            boxes.append(truth.astype(np.float32))
        return relit(np.stack(images), self._rng), boxes

    def losses(self) -> Losses:
        """The library's decoder losses and the dense proposal loss of a new batch."""
        import torch

        images, boxes = self.batch()
        truths = [torch.from_numpy(box) for box in boxes]
        pixels = normalised(images)
        if self._centres is None:
            mask = torch.ones(pixels[:1, 0].shape, dtype=torch.long)
            with torch.no_grad():
                maps = self.model.model.backbone.conv_encoder(pixels[:1], mask)
            self._centres = cell_centres([tuple(feature.shape[-2:]) for feature, _ in maps])
        outputs = self.model(
            pixel_values=pixels,
            input_ids=torch.tensor([PROMPT] * len(pixels)),
            attention_mask=torch.ones(len(pixels), len(PROMPT), dtype=torch.long),
            labels=[
                {"class_labels": torch.zeros(len(truth), dtype=torch.long), "boxes": truth}
                for truth in truths
            ],
        )
        terms = {
            name: value * LIBRARY_WEIGHTS[name.split("_")[1]]
            for name, value in outputs.loss_dict.items()
            if name.startswith("loss_") and not name.endswith("_enc")
        }
        # The norm's weights start at 0.25; undo it, so that the extra head gets unit size.
        many = self.many(self._proposals.pop("features") / 0.25)[..., 0]  # (B, S)
        dense = dense_proposal_loss(
            outputs.enc_outputs_class[..., : len(PROMPT)],
            outputs.enc_outputs_coord_logits,
            many,
            self._centres,
            truths,
        )
        return {"decoder": torch.stack(list(terms.values())).sum(), "dense": dense}


def run(frames: Frames, budget: Budget, seed: int, out: Path) -> dict[str, float]:
    """Train a detector, write it to `out`, and return the record of `train`."""
    task = DetectorTask(frames, seed)

    def checkpoint() -> None:
        save("detector", task.model, out)

    record = train(
        "detector", task.parameters(), task.losses, budget, RATE, WEIGHT_DECAY, checkpoint
    )
    checkpoint()
    return record
