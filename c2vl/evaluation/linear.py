"""Linear evaluation: one linear layer on frozen features, by SGD.

The field trains the layer through the frozen encoder for 100 epochs (AimCLR, CMD, C²VL). On features of the test view,
computed once, the same takes seconds. Features are standardised by the training split's mean and deviation, which a
linear layer could undo, so that one learning rate suits every encoder, the random one too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from c2vl.evaluation.features import Features
from c2vl.evaluation.metrics import top1
from c2vl.evaluation.params import LinearParams

MOMENTUM = 0.9
SMALLEST_DEVIATION = 1e-6


@dataclass(frozen=True)
class LinearResult:
    """Softmax scores (N, classes) of the test split after the last epoch, and the best epoch's top 1 *on test*.

    `best_on_test` picks its epoch by test labels, as many papers do; it is told beside the last epoch's, never instead.
    """

    scores: np.ndarray
    best_on_test: float


def linear_evaluation(features: Features, classes: int, params: LinearParams, seed: int) -> LinearResult:
    """Train on the train features, score the test features; the same arguments give the same scores."""
    mean, deviation = features.train.mean(0), features.train.std(0)
    scale = np.where(deviation > SMALLEST_DEVIATION, deviation, 1.0)
    train, test = (torch.from_numpy((x - mean) / scale).float() for x in (features.train, features.test))
    labels = torch.from_numpy(features.train_labels)
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(train.shape[1], classes)
    nn.init.zeros_(layer.weight)  # a convex problem: the start need not be random
    nn.init.zeros_(layer.bias)
    optimiser = torch.optim.SGD(layer.parameters(), lr=params.learning_rate, momentum=MOMENTUM)
    steps = math.ceil(len(train) / params.batch) * params.epochs
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    highest = 0.0
    for _ in range(params.epochs):
        for rows in torch.randperm(len(train), generator=generator).split(params.batch):
            loss = cross_entropy(layer(train[rows]), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            falling.step()
        with torch.no_grad():
            scores = layer(test).softmax(1).numpy()
        highest = max(highest, top1(features.test_labels, scores.argmax(1)))
    return LinearResult(scores, highest)
