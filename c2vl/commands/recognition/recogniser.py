"""Recognise actions with trained encoders and their classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from c2vl.core.errors import UserError
from c2vl.core.layout import SkeletonLayout
from c2vl.evaluation.evaluate_params import FusionParams
from c2vl.evaluation.fusion import fuse, softmax
from c2vl.evaluation.head_files import load_head
from c2vl.evaluation.linear import LinearHead
from c2vl.models.encode import encode
from c2vl.models.ragged import RaggedSkeletons
from c2vl.training.checkpoint import Checkpoint, load_checkpoint


@dataclass(frozen=True)
class Trained:
    """An encoder with its classifier; `about` has the names of the `classes`."""

    checkpoint: Checkpoint
    head: LinearHead
    about: dict[str, Any]

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Logits (N, classes) of features (N, D)."""
        head = self.head
        return ((features - head.mean) / head.scale) @ head.weight.T + head.bias


@dataclass(frozen=True)
class Recogniser:
    """Recognises actions with the encoders and classifiers of one or more streams.

    Several streams are fused as `evaluate.fusion` says.
    """

    streams: dict[str, Trained]
    fusion: FusionParams

    @property
    def classes(self) -> list[str]:
        """Names of the actions; a name's position is its label."""
        return list(next(iter(self.streams.values())).about["classes"])

    @property
    def layout(self) -> SkeletonLayout:
        """The skeleton that it recognises actions of."""
        return next(iter(self.streams.values())).checkpoint.config.layout

    def scores(self, clips: Sequence[np.ndarray], device: torch.device | str = "cpu") -> np.ndarray:
        """Scores (N, classes), rows of sum 1, of clips (T, M, V, 3) of `layout`.

        The stage `evaluate` computes the same for its test split.
        """
        skeletons = RaggedSkeletons.from_clips(clips, device, self.layout)
        by_stream = {}
        for stream, trained in self.streams.items():
            config = trained.checkpoint.config
            with torch.inference_mode():
                features = encode(
                    trained.checkpoint.encoder.to(device), skeletons, config.stream, config.frames
                )
            by_stream[stream] = trained.logits(features.numpy())
        if len(by_stream) == 1:
            return softmax(next(iter(by_stream.values())))
        return fuse(by_stream, self.fusion.weights, self.fusion.scores)


def with_head(results: Path, benchmark: str, stream: str) -> Trained:
    """Load the frozen encoder of one stream with its linear head.

    Raises:
        UserError: a file is missing, or the two do not belong together.
    """
    name = f"{benchmark}-{stream}"
    head, about = load_head(results / "evaluate/heads", name)
    checkpoint = load_checkpoint(results / "pretrain" / name)
    width = int(checkpoint.encoder.features)  # type: ignore[arg-type]
    if width != head.weight.shape[1]:
        raise UserError(
            f"The head of {name} takes {head.weight.shape[1]} features, but its encoder gives "
            f"{width}; run `dvc repro`."
        )
    return Trained(checkpoint, head, about)
