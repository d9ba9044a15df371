"""Features of both splits from a frozen encoder: computed once, used by every protocol.

AimCLR's linear evaluation does not augment either (`Feeder_single` with `shear_amplitude: -1,
temperal_padding_ratio: -1`), and its encoder is in evaluation mode: training a layer on features
computed once is the same protocol.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from c2vl.evaluation.encoded import Encoded, save_encoded
from c2vl.evaluation.features import Features
from c2vl.models.clips import Clips
from c2vl.models.encode import encode
from c2vl.models.streams import Stream
from c2vl.training.absent import absent, pass_on
from c2vl.training.checkpoint import EncoderConfig, EncoderNetwork, load_checkpoint
from c2vl.training.supervised import ClassifyingEncoder


def make_features(
    checkpoint: Path, train: Clips, test: Clips, out: Path, name: str | None = None
) -> dict[str, Any]:
    """Encode both splits with the checkpoint in a folder and write them to `out`.

    `name` is that of its method in all results; None: the method it was trained by.

    Returns counts for the run log.

    Raises:
        UserError: the checkpoint is incomplete.
    """
    if absent(checkpoint) is not None:
        pass_on(checkpoint, out)
        return {}
    loaded = load_checkpoint(checkpoint)
    encoded = encoded_by(loaded.network, loaded.config, train, test)
    encoded = replace(encoded, method=name or encoded.method)
    save_encoded(out, encoded, loaded.config.frames)
    return {"computed": len(train) + len(test), "width": encoded.features.train.shape[1]}


def encoded_by(
    network: EncoderNetwork, config: EncoderConfig, train: Clips, test: Clips
) -> Encoded:
    """Features of both splits by a trained network, which stays frozen, with its heads."""
    heads = {
        name: value.float().cpu().numpy()
        for name, value in network.state_dict().items()
        if not name.startswith("encoder.")
    }
    features = frozen_features(network.encoder, train, test, config.stream, config.frames)
    return Encoded(
        config.method,
        config.benchmark,
        config.stream,
        train.samples,
        test.samples,
        features,
        heads,
        dict(config.prompts),
    )


def frozen_features(
    encoder: nn.Module, train: Clips, test: Clips, stream: Stream, frames: int
) -> Features:
    """Encode the test view of every clip in evaluation mode; BatchNorm's statistics stay.

    Works in place on `encoder`'s device, which becomes the clips'.
    """
    device = train.skeletons.device
    encoder = encoder.to(device).requires_grad_(False)
    with torch.inference_mode():
        values = [
            encode(encoder, clips.skeletons, stream, frames).numpy() for clips in (train, test)
        ]
    return Features(values[0], train.labels, values[1], test.labels)


def own_logits(network: nn.Module, features: Features) -> np.ndarray | None:
    """Logits of a supervised network's own classifier for the test features.

    Returns (N, classes); None for other networks.
    """
    if not isinstance(network, ClassifyingEncoder):
        return None
    with torch.inference_mode():
        logits: np.ndarray = network.classifier.cpu()(torch.from_numpy(features.test)).numpy()
    return logits
