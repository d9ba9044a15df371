"""The field's setting: a head, trained on labels, that aligns features with descriptions.

One linear layer maps standardised encoder features into the text encoder's space; the loss is
cross-entropy over the seen classes of the cosines with their descriptions, divided by a temperature
(DeViSE's linear map, Frome et al., NeurIPS 2013, with the softmax that later work uses). The
descriptions' mean over the trained classes is taken off all of them: sentences of one kind are
mostly alike, and their common part says nothing about the class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize

from c2vl.evaluation.encoded import Array, unit
from c2vl.training.zero_shot.zero_shot_params import AlignmentParams

MOMENTUM = 0.9
SMALLEST_DEVIATION = 1e-6


@dataclass(frozen=True)
class AlignmentHead:
    """A trained head: `weight` (width, D), `mean` and `scale` (D,), `centre` (width,), float32."""

    weight: Array
    mean: Array
    scale: Array
    centre: Array

    def scores(self, features: Array, descriptions: Array) -> Array:
        """Cosines (N, classes) of features (N, D) with class descriptions (classes, width)."""
        mapped = ((features - self.mean) / self.scale) @ self.weight.T
        return unit(mapped.astype(np.float32)) @ unit(unit(descriptions) - self.centre).T


def train_alignment(
    features: Array,
    labels: np.ndarray,
    descriptions: Array,
    classes: Sequence[int],
    params: AlignmentParams,
    seed: int,
) -> AlignmentHead:
    """Train a head on labelled clips of the seen classes; the same arguments give the same head.

    Args:
        features: (N, D) of clips whose labels are all in `classes`.
        labels: (N,) 0-based.
        descriptions: (all classes, width); only those of `classes` are used.
        classes: labels of the classes that are trained.
        params: schedule.
        seed: of the order of the clips.
    """
    mean = features.mean(0, dtype=np.float64)
    deviation = features.std(0, dtype=np.float64)
    scale = np.where(deviation > SMALLEST_DEVIATION, deviation, 1.0)
    known = unit(descriptions[list(classes)])
    centre = known.mean(0)
    targets = torch.from_numpy(unit(known - centre))
    x = torch.from_numpy((features - mean) / scale).float()
    y = torch.from_numpy(np.searchsorted(np.array(classes), labels))
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(x.shape[1], targets.shape[1], bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) / x.shape[1] ** 0.5)
    optimiser = torch.optim.SGD(
        layer.parameters(),
        lr=params.learning_rate,
        momentum=MOMENTUM,
        weight_decay=params.weight_decay,
    )
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, params.epochs)
    for _ in range(params.epochs):
        for rows in torch.randperm(len(x), generator=generator).split(params.batch):
            logits = normalize(layer(x[rows]), dim=1) @ targets.T / params.temperature
            loss = cross_entropy(logits, y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        falling.step()
    weight = layer.weight.detach().numpy()
    return AlignmentHead(weight, mean.astype(np.float32), scale.astype(np.float32), centre)
