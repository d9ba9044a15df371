"""The end-to-end baseline: the same encoder, trained on labels with a linear classifier."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from c2vl.models.encoders.registry import build_encoder
from c2vl.models.graph import SkeletonGraph
from c2vl.models.ragged import RaggedSkeletons
from c2vl.models.streams import Stream, to_stream
from c2vl.models.views import draw, train_view
from c2vl.training.curves import Epoch
from c2vl.training.devices import Devices
from c2vl.training.keep import Keep
from c2vl.training.loop import SaveGood, fit
from c2vl.training.task import Task
from c2vl.training.training_params import PretrainParams


class ClassifyingEncoder(nn.Module):
    """An encoder with a linear classifier; clips (B, C, T, V, M) to logits (B, classes)."""

    def __init__(self, encoder: nn.Module, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = nn.Linear(int(encoder.features), classes)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes) of clips (B, C, T, V, M)."""
        logits: Tensor = self.classifier(self.encoder(x))
        return logits


class SupervisedTraining(Task):
    """Encoder and classifier on labels (N,)."""

    what = "supervised"
    advice = "lower `baselines.supervised.learning_rate` in params.yaml."
    network: ClassifyingEncoder

    def __init__(
        self,
        network: ClassifyingEncoder,
        skeletons: RaggedSkeletons,
        labels: np.ndarray,
        stream: Stream,
        params: PretrainParams,
    ) -> None:
        self.network, self.skeletons, self.stream, self.params = network, skeletons, stream, params
        self.rows = torch.arange(len(skeletons))
        self.truth = torch.from_numpy(labels)

    def inputs(self, rows: Tensor, own: slice, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Views (b, C, T, V, M)."""
        draws = draw(len(rows), self.params.view, generator).part(own)
        view = train_view(self.skeletons, rows[own], self.params.view, draws)
        return (to_stream(view, self.stream, self.skeletons.layout),)

    def outputs(self, network: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        """Logits (b, classes)."""
        logits: Tensor = network(*inputs)
        return logits

    def loss(
        self, outputs: Tensor, constants: Tensor, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy, and the share of right answers."""
        truth = self.truth[rows].to(outputs.device, non_blocking=True)
        return cross_entropy(outputs, truth), (outputs.argmax(1) == truth).float().mean()[None]

    def row(self, epoch: int, rate: float, means: list[float]) -> Epoch:
        """Loss and training accuracy."""
        return Epoch(epoch + 1, rate, means[0], accuracy=means[1])


def train_supervised(
    skeletons: RaggedSkeletons,
    labels: np.ndarray,
    classes: int,
    stream: Stream,
    params: PretrainParams,
    name: str = "",
    keep: Keep | None = None,
    save_good: SaveGood | None = None,
) -> tuple[ClassifyingEncoder, list[Epoch]]:
    """Train encoder and classifier on `labels` (N,); returns them with a row an epoch.

    `keep` and `save_good` are those of `fit`.

    Raises:
        UserError: the loss is not a number.
    """
    torch.manual_seed(params.seed)
    devices = Devices(skeletons.device)
    network = ClassifyingEncoder(
        build_encoder(params.encoder, SkeletonGraph.of(skeletons.layout)), classes
    )
    task = SupervisedTraining(network, skeletons, labels, stream, params)
    trained, curves = fit(task, params, devices, name or f"supervised {stream}", keep, save_good)
    return cast(ClassifyingEncoder, trained), curves
