"""Actions of clips, from the linear heads that stage `evaluate` keeps and the encoders they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from c2vl.core.errors import UserError
from c2vl.evaluation.fusion import fuse
from c2vl.evaluation.heads import load_head
from c2vl.evaluation.linear import LinearHead
from c2vl.evaluation.protocol import softmax
from c2vl.models.encode import encode
from c2vl.models.graph import GRAPHS
from c2vl.models.ragged import RaggedSkeletons
from c2vl.models.streams import STREAMS
from c2vl.training.checkpoint import Checkpoint, load_checkpoint


@dataclass(frozen=True)
class Trained:
    """An encoder with its linear head; `about` is the head's JSON."""

    checkpoint: Checkpoint
    head: LinearHead
    about: dict[str, Any]

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(N, D) to (N, classes)."""
        head = self.head
        return ((features - head.mean) / head.scale) @ head.weight.T + head.bias


@dataclass(frozen=True)
class Recogniser:
    """Linear heads on one or more streams; several are fused by a weighted mean of their softmax scores."""

    streams: dict[str, Trained]
    weights: Mapping[str, float]

    @property
    def classes(self) -> list[str]:
        """Names of the actions, position = label."""
        return list(next(iter(self.streams.values())).about["classes"])

    @property
    def joints(self) -> int:
        """Joints V of the skeletons."""
        return GRAPHS[next(iter(self.streams.values())).checkpoint.config.encoder.graph].joints

    def scores(self, clips: Sequence[np.ndarray], device: torch.device | str = "cpu") -> np.ndarray:
        """Scores (N, classes), rows of sum 1, of clips (T, 2, V, 3); as stage `evaluate` scores its test split."""
        skeletons = RaggedSkeletons.from_clips(clips, device)
        by_stream = {}
        for stream, trained in self.streams.items():
            config = trained.checkpoint.config
            with torch.inference_mode():
                features = encode(
                    trained.checkpoint.encoder.to(device), skeletons, config.stream, config.frames
                )
            by_stream[stream] = softmax(trained.logits(features.numpy()))
        return (
            fuse(by_stream, self.weights) if len(by_stream) > 1 else next(iter(by_stream.values()))
        )


def load_recogniser(
    results: Path, benchmark: str, stream: str | None, weights: Mapping[str, float]
) -> Recogniser:
    """Load the heads of a benchmark and their encoders.

    Args:
        results: the folder with `evaluate/heads` and `pretrain`.
        benchmark: split column of the index that they were trained on.
        stream: one of them; None takes all there are, fused.
        weights: of the streams in a fusion.

    Raises:
        UserError: nothing was trained for that benchmark or stream, or files do not belong together.
    """
    there = trained_streams(results, benchmark)
    if not there:
        known = sorted(
            {
                path.stem.rpartition("-")[0]
                for path in (results / "evaluate/heads").glob("*.safetensors")
            }
        )
        hint = (
            f"there are heads for {', '.join(known)}"
            if known
            else "`dvc repro evaluate` trains them"
        )
        raise UserError(
            f"There is no linear head for the benchmark '{benchmark}' in {results / 'evaluate/heads'}; {hint}."
        )
    if stream is not None and stream not in there:
        raise UserError(
            f"There is no linear head for the stream '{stream}' of {benchmark}; there are {', '.join(there)}."
        )
    return Recogniser(
        {name: load_trained(results, benchmark, name) for name in ([stream] if stream else there)},
        weights,
    )


def trained_streams(results: Path, benchmark: str) -> list[str]:
    """Streams of a benchmark that have a linear head."""
    return [
        stream
        for stream in STREAMS
        if (results / "evaluate/heads" / f"{benchmark}-{stream}.safetensors").is_file()
    ]


def load_trained(results: Path, benchmark: str, stream: str) -> Trained:
    """One stream's encoder and head.

    Raises:
        UserError: a file is missing, or the two do not belong together.
    """
    name = f"{benchmark}-{stream}"
    head, about = load_head(results / "evaluate/heads", name)
    checkpoint = load_checkpoint(results / "pretrain" / name)
    width = int(checkpoint.encoder.features)  # type: ignore[arg-type]
    if width != head.weight.shape[1]:
        raise UserError(
            f"The head of {name} takes {head.weight.shape[1]} features, its encoder gives {width}; run `dvc repro`."
        )
    return Trained(checkpoint, head, about)
