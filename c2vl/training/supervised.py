"""The end-to-end baseline: the same encoder, views and schedule, trained on labels with a linear classifier."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from c2vl.errors import UserError
from c2vl.models.registry import build_encoder
from c2vl.progress import progress
from c2vl.skeletons.ragged import RaggedSkeletons
from c2vl.skeletons.streams import Stream, to_stream
from c2vl.skeletons.views import draw, train_view
from c2vl.training.curves import Epoch
from c2vl.training.params import PretrainParams
from c2vl.training.schedule import batches, rate_at, set_rate, sgd, steps_an_epoch


class ClassifyingEncoder(nn.Module):
    """An encoder with a linear classifier; clips (B, C, T, V, M) to logits (B, classes)."""

    def __init__(self, encoder: nn.Module, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = nn.Linear(int(encoder.features), classes)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.encoder(x))
        return logits


def train_supervised(
    skeletons: RaggedSkeletons, labels: np.ndarray, classes: int, stream: Stream, params: PretrainParams, name: str = ""
) -> tuple[ClassifyingEncoder, list[Epoch]]:
    """Train encoder and classifier on `labels` (N,); returns them with a row an epoch.

    Raises:
        UserError: the loss is not a number.
    """
    torch.manual_seed(params.seed)
    generator = torch.Generator().manual_seed(params.seed)
    device = skeletons.device
    network = ClassifyingEncoder(build_encoder(params.encoder), classes).to(device).train()
    optimiser = sgd(network, params)
    rows, truth = torch.arange(len(skeletons), device=device), torch.from_numpy(labels).to(device)
    steps = steps_an_epoch(len(rows), params.batch)
    curves: list[Epoch] = []
    for epoch in progress(range(params.epochs), name or f"supervised {stream}", "epochs"):
        sums = torch.zeros(2, device=device)
        for step, chosen in enumerate(batches(rows, params.batch, generator)):
            set_rate(optimiser, rate_at(epoch, step, steps, params))
            x = train_view(skeletons, chosen, params.view, draw(len(chosen), params.view, generator))
            logits = network(to_stream(x, stream))
            loss = cross_entropy(logits, truth[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            sums += torch.stack([loss.detach(), (logits.argmax(1) == truth[chosen]).float().mean()])
        mean, accuracy = (sums / steps).tolist()
        if not math.isfinite(mean):
            raise UserError(
                f"The supervised loss is not a number in epoch {epoch + 1}; "
                "lower `baselines.supervised.learning_rate` in params.yaml."
            )
        curves.append(Epoch(epoch + 1, rate_at(epoch, steps - 1, steps, params), mean, accuracy=accuracy))
    return network, curves
