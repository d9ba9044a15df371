"""Features of both splits from a frozen encoder: computed once, used by every protocol."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from c2vl.models.encode import encode
from c2vl.skeletons.streams import Stream
from c2vl.training.clips import Clips


@dataclass(frozen=True)
class Features:
    """Features (N, D) float32 and labels (N,) of the train and test splits."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


def frozen_features(encoder: nn.Module, train: Clips, test: Clips, stream: Stream, frames: int) -> Features:
    """Encode the test view of every clip in evaluation mode; not even BatchNorm's statistics change.

    Works in place on `encoder`'s device, which becomes the clips'.
    """
    device = train.skeletons.device
    encoder = encoder.to(device).requires_grad_(False)
    with torch.inference_mode():
        values = [encode(encoder, clips.skeletons, stream, frames).numpy() for clips in (train, test)]
    return Features(values[0], train.labels, values[1], test.labels)
