"""Linear evaluation: one linear layer on frozen features, by SGD.

The settings are AimCLR's (Levigty/AimCLR, `config/ntu60/linear_eval`): 100 epochs, batches of 128,
momentum 0.9, no weight decay, rate × 0.1 after epoch 80. Its rate of 3.0 suits its features' scale;
here features are standardised by the training split's mean and deviation, which a linear layer
could undo, so that one rate suits every encoder, the random one too. Why features computed once are
the same protocol: `c2vl/evaluation/frozen_features.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from c2vl.evaluation.evaluate_params import LinearParams
from c2vl.evaluation.features import Features
from c2vl.training.metrics import top1

MOMENTUM, DECAY = 0.9, 0.1
SMALLEST_DEVIATION = 1e-6


@dataclass(frozen=True)
class LinearHead:
    """A trained layer: `((x - mean) / scale) @ weight.T + bias` are the logits of features x.

    `weight` (classes, D), `bias` (classes,), `mean` and `scale` (D,), float32.
    """

    weight: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    scale: np.ndarray


@dataclass(frozen=True)
class LinearResult:
    """Softmax scores and logits (N, classes) of the test split, and the best top 1.

    Scores and logits are those after the last epoch.

    `best_on_test` picks its epoch by test labels, as many papers do; it is given beside the last
    epoch's, never instead. `head` is the layer after the last epoch.
    """

    scores: np.ndarray
    logits: np.ndarray
    best_on_test: float
    head: LinearHead


def linear_evaluation(
    features: Features,
    classes: int,
    params: LinearParams,
    seed: int,
    device: torch.device | str = "cpu",
) -> LinearResult:
    """Train on the train features, score the test features; equal arguments give equal scores.

    The test split decides nothing: mean, deviation and every step come from the train features and
    labels alone.
    """
    mean, deviation = (
        features.train.mean(0, dtype=np.float64),
        features.train.std(0, dtype=np.float64),
    )
    scale = np.where(deviation > SMALLEST_DEVIATION, deviation, 1.0)
    train, test = (
        torch.from_numpy((x - mean) / scale).float().to(device)
        for x in (features.train, features.test)
    )
    labels = torch.from_numpy(features.train_labels).to(device)
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(train.shape[1], classes, device=device)
    nn.init.zeros_(layer.weight)  # a convex problem: the start need not be random
    nn.init.zeros_(layer.bias)
    optimiser = torch.optim.SGD(layer.parameters(), lr=params.learning_rate, momentum=MOMENTUM)
    falling = torch.optim.lr_scheduler.MultiStepLR(optimiser, params.milestones, DECAY)
    highest = 0.0
    for _ in range(params.epochs):
        order = torch.randperm(len(train), generator=generator).to(device)
        # Gathered once an epoch: a step is then a few small matrix products on contiguous rows.
        for x, y in zip(
            train[order].split(params.batch), labels[order].split(params.batch), strict=True
        ):
            loss = cross_entropy(layer(x), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        falling.step()
        with torch.no_grad():
            logits = layer(test)
            scores = logits.softmax(1).cpu().numpy()
        highest = max(highest, top1(features.test_labels, scores.argmax(1)))
    weight, bias = (value.detach().cpu().numpy() for value in (layer.weight, layer.bias))
    head = LinearHead(weight, bias, mean.astype(np.float32), scale.astype(np.float32))
    return LinearResult(scores, logits.cpu().numpy(), highest, head)
