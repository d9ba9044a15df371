"""Train an encoder, pretrained or not, with a new linear classifier on labels; every weight and BatchNorm statistic moves."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from c2vl.errors import UserError
from c2vl.evaluation.metrics import top1
from c2vl.finetuning.params import ScheduleParams
from c2vl.models.encode import encode
from c2vl.skeletons.ragged import RaggedSkeletons
from c2vl.skeletons.streams import Stream, to_stream
from c2vl.skeletons.views import ViewParams, draw, test_view, train_view
from c2vl.training.clips import Clips
from c2vl.training.supervised import ClassifyingEncoder

DECAY = 0.1  # of the rate at every milestone
CLASSIFIER_DEVIATION = 0.01  # of its first weights, as CMD's: N(0, 0.01), bias 0


@dataclass(frozen=True)
class Epoch:
    """One row of the curves; `test` only where the test split was looked at."""

    epoch: int
    learning_rate: float
    loss: float
    accuracy: float
    test: float | None = None


@dataclass(frozen=True)
class Finetuned:
    """The network after the last epoch, its softmax scores (N, classes) of the test split, and the curves."""

    network: ClassifyingEncoder
    scores: np.ndarray
    curves: list[Epoch]

    @property
    def best_on_test(self) -> float:
        """The highest test accuracy at any look: chosen by test labels, so no result, only told beside the last."""
        return max(row.test for row in self.curves if row.test is not None)


def finetune(
    encoder: nn.Module,
    train: Clips,
    rows: np.ndarray,
    test: Clips,
    classes: int,
    stream: Stream,
    view: ViewParams,
    params: ScheduleParams,
    seed: int,
) -> Finetuned:
    """Train a copy of `encoder` on the labelled clips `rows` of the train split.

    Test clips are only looked at: nothing depends on what is seen. The same arguments give the same weights on one machine.

    Raises:
        UserError: the loss is not a number.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    skeletons, device = train.skeletons, train.skeletons.device
    network = ClassifyingEncoder(copy.deepcopy(encoder), classes)
    nn.init.normal_(network.classifier.weight, std=CLASSIFIER_DEVIATION)
    nn.init.zeros_(network.classifier.bias)
    network = network.to(device).requires_grad_(True)
    optimiser = torch.optim.SGD(
        network.parameters(),
        lr=params.learning_rate,
        momentum=params.momentum,
        nesterov=params.nesterov and params.momentum > 0,
        weight_decay=params.weight_decay,
    )
    labelled, truth = torch.from_numpy(rows).to(device), torch.from_numpy(train.labels).to(device)
    steps = math.ceil(len(rows) / params.batch)
    curves: list[Epoch] = []
    for epoch in range(params.epochs):
        network.train()
        loss_sum, right = torch.zeros((), device=device), torch.zeros((), device=device)
        order = labelled[torch.randperm(len(labelled), generator=generator).to(device)]
        for step, chosen in enumerate(order.split(params.batch)):
            rate = rate_at(epoch, step, steps, params)
            for group in optimiser.param_groups:
                group["lr"] = rate
            x = _view(skeletons, chosen, view, params.augment, generator)
            logits = network(to_stream(x, stream))
            loss = cross_entropy(logits, truth[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss_sum += loss.detach() * len(chosen)
            right += (logits.argmax(1) == truth[chosen]).sum()
        mean, accuracy = float(loss_sum) / len(rows), float(right) / len(rows)
        if not math.isfinite(mean):
            raise UserError(
                f"The loss is not a number in epoch {epoch + 1} of finetuning; lower the `learning_rate` of its section in "
                "params.yaml."
            )
        last = epoch + 1 == params.epochs
        seen = None
        if last or (params.test_every and (epoch + 1) % params.test_every == 0):
            scores = class_scores(network, test.skeletons, stream, view.frames)
            seen = top1(test.labels, scores.argmax(1))
        curves.append(Epoch(epoch + 1, rate, mean, accuracy, seen))
    return Finetuned(network.eval(), scores, curves)


def rate_at(epoch: int, step: int, steps: int, params: ScheduleParams) -> float:
    """Learning rate of a step (both from 0): linear warm-up over the steps, then ×0.1 after each milestone."""
    done, warmup = epoch * steps + step + 1, params.warmup_epochs * steps
    if done < warmup:
        return params.learning_rate * done / warmup
    return params.learning_rate * DECAY ** sum(epoch >= milestone for milestone in params.milestones)


@torch.no_grad()
def class_scores(network: ClassifyingEncoder, clips: RaggedSkeletons, stream: Stream, frames: int) -> np.ndarray:
    """Softmax scores (N, classes) of the test views, in evaluation mode."""
    features = encode(network.encoder, clips, stream, frames)
    weight, bias = (value.detach().float().cpu() for value in (network.classifier.weight, network.classifier.bias))
    scores: np.ndarray = (features @ weight.T + bias).softmax(1).numpy()
    return scores


def _view(
    clips: RaggedSkeletons, rows: torch.Tensor, view: ViewParams, augment: bool, generator: torch.Generator
) -> torch.Tensor:
    if not augment:
        return test_view(clips, rows, view.frames)
    return train_view(clips, rows, view, draw(len(rows), view, generator))
