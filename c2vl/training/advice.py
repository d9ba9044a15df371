"""Warnings after a training: it collapsed, or its batch is larger than the data."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from c2vl.training.curves import Epoch
from c2vl.training.probe import QUERIES

log = logging.getLogger(__name__)

FEWEST_EPOCHS = 3
CONSTANT = 0.01  # range of the loss over all epochs, as a share of its mean
DEVIATIONS = 3  # above chance, of an accuracy that tells nothing from chance
TRY = {
    "pretraining": "a lower `pretrain.learning_rate`, more `pretrain.warmup_epochs`, or another "
    "`pretrain.objective.temperature`",
    "supervised": "a lower `baselines.supervised.learning_rate` or more `pretrain.warmup_epochs`",
    "finetuning": "a lower `learning_rate` or more `warmup_epochs` in its section",
}


def collapse(curves: Sequence[Epoch], labels: np.ndarray) -> str | None:
    """What shows a collapse: a constant loss, and an accuracy at chance; None if nothing does.

    The accuracy is that of the training clips, or of the last probe. Chance is the share of the
    most frequent class.

    Args:
        curves: a row an epoch.
        labels: (N,) of the training clips.
    """
    if len(curves) < FEWEST_EPOCHS or not len(labels):
        return None
    losses = [row.loss for row in curves]
    mean = float(np.mean(losses))
    if max(losses) - min(losses) > CONSTANT * abs(mean):
        return None
    chance = np.bincount(labels).max() / len(labels)
    found = [row.accuracy if row.accuracy is not None else row.probe for row in curves]
    accuracies = [value for value in found if value is not None]
    stayed = f"its loss stayed at {mean:.4g}"
    if not accuracies:
        return stayed
    queries = min(QUERIES, max(1, len(labels) // 5))
    if accuracies[-1] > chance + DEVIATIONS * np.sqrt(chance * (1 - chance) / queries):
        return None
    what = "training accuracy" if curves[-1].accuracy is not None else "probe"
    return f"{stayed} and its {what} at chance ({accuracies[-1]:.1%}, chance is {chance:.1%})"


def warn_of_collapse(name: str, kind: str, curves: Sequence[Epoch], labels: np.ndarray) -> None:
    """Say that a training collapsed, and what to try; `kind` is one of `TRY`."""
    if shown := collapse(curves, labels):
        log.warning(
            f"{name} collapsed: {shown}. The encoder has learned nothing. "
            f"Try {TRY[kind]}, in params.yaml."
        )


def warn_of_large_batch(name: str, batch: int, clips: int) -> None:
    """Say that a batch is larger than the data."""
    if batch > clips:
        log.warning(
            f"{name}: `batch` is {batch}, but there are only {clips} clips; every step takes all "
            "of them, so an epoch is one step. Set a smaller `batch` in params.yaml for more steps."
        )
