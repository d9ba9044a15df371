"""Trains the tiny ViTPose on people cut out of the stills."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from c2vl.prompts.engines.pose_crops import Region, cut, region, to_crop
from c2vl.studio.engines.augment import relit
from c2vl.studio.engines.checkpoints import build, save
from c2vl.studio.engines.configs import POSE_SIZE
from c2vl.studio.engines.stills_on_disk import Frames
from c2vl.studio.engines.train_detector import normalised
from c2vl.studio.engines.train_loop import Budget, Losses, train

RATE, WEIGHT_DECAY, BATCH = 2e-3, 0.02, 32
JITTER = 0.08  # standard deviation of each edge of a box, as a share of the box
SIGMA = 1.5  # of the peaks, in cells of a heatmap
HIDDEN = 0.5  # height of the peak of a joint that cannot be seen; of a visible one 1
SHARPNESS = 10.0  # turns heatmaps into logits for the loss of places
RECIPE = {"rate": RATE, "weight_decay": WEIGHT_DECAY, "batch": BATCH, "jitter": JITTER}
# Left and right change places in a mirrored picture.
MIRRORED = [0, *(joint + 1 if joint % 2 else joint - 1 for joint in range(1, 17))]


def peaks(joints: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The true heatmaps (N, J, h, w) of joints (N, J, 3).

    Args:
        joints: x and y as shares of the crop, and 1 if visible, else 0.
        shape: height and width of the heatmaps.
    """
    height, width = shape
    x = joints[..., 0, None] * (width - 1) - np.arange(width)
    y = joints[..., 1, None] * (height - 1) - np.arange(height)
    size = np.where(joints[..., 2] > 0, 1.0, HIDDEN)[..., None, None]
    flat = np.exp(-(y[..., :, None] ** 2 + x[..., None, :] ** 2) / (2 * SIGMA**2))
    return (size * flat).astype(np.float32)


class PoseTask:
    """Draws batches of people and computes both losses of the pose engine."""

    def __init__(self, frames: Frames, seed: int) -> None:
        import torch

        self._frames, self._rng = frames, np.random.default_rng(seed)
        torch.manual_seed(seed)
        self.model = build("pose")
        self._people = [
            (index, person)
            for index, note in enumerate(frames.notes)
            for person in range(len(note.boxes))
        ]

    def batch(self) -> tuple[np.ndarray, np.ndarray]:
        """Crops (B, H, W, 3) in 0…1 and their joints (B, 17, 3) as `peaks` takes them."""
        crops, joints = [], []
        for at in self._rng.integers(len(self._people), size=BATCH):
            index, person = self._people[at]
            note = self._frames.notes[index]
            where = self._jittered(note.boxes[person])
            crop = cut(self._frames[index], where, POSE_SIZE).astype(np.float32) / 255
            truth = note.coco[person].astype(np.float64)
            truth[:, :2] = to_crop(truth[:, :2], where)
            if self._rng.random() < 0.5:
                crop, truth = crop[:, ::-1], truth[MIRRORED]
                truth[:, 0] = 1 - truth[:, 0]
            crops.append(crop)
            joints.append(truth)
        return relit(np.stack(crops), self._rng), np.stack(joints)

    def _jittered(self, box: np.ndarray) -> Region:
        size = np.tile(box[2:] - box[:2], 2)
        return region(box + self._rng.normal(0, JITTER, 4) * size, POSE_SIZE)

    def losses(self) -> Losses:
        """The squared error of the heatmaps, and the cross-entropy of the joints' places.

        The squared error alone learns nothing for a long time, because nearly all cells are zero.
        """
        import torch

        images, joints = self.batch()
        heatmaps = self.model(pixel_values=normalised(images)).heatmaps
        truth = torch.from_numpy(peaks(joints, tuple(heatmaps.shape[-2:])))
        total = truth.flatten(2).sum(-1)
        known = total > 1.0  # others lie outside the crop
        share = truth.flatten(2) / total.clamp(min=1.0)[..., None]
        logits = (heatmaps * SHARPNESS).flatten(2).log_softmax(-1)
        places = -(share * logits).sum(-1)[known].mean()
        return {"heat": 100 * (heatmaps - truth).square().mean(), "places": places}


def run(frames: Frames, budget: Budget, seed: int, out: Path) -> dict[str, float]:
    """Train a pose engine, write it to `out`, and return the record of `train`."""
    task = PoseTask(frames, seed)

    def checkpoint() -> None:
        save("pose", task.model, out)

    record = train(
        "pose", task.model.parameters(), task.losses, budget, RATE, WEIGHT_DECAY, checkpoint
    )
    checkpoint()
    return record
