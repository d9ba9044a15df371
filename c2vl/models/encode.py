"""Features of whole clips from a frozen encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from c2vl.models.ragged import RaggedSkeletons
from c2vl.models.streams import Stream, to_stream
from c2vl.models.views import test_view

BATCH = 256


@torch.no_grad()
def encode(
    encoder: nn.Module,
    clips: RaggedSkeletons,
    stream: Stream,
    frames: int,
    rows: Tensor | None = None,
) -> Tensor:
    """Encode the test views of `clips` (or of its `rows`), (N, D) float32 on the CPU.

    The encoder is in evaluation mode meanwhile (BatchNorm's running statistics, no dropout) and
    back in its own after.
    """
    if rows is None:
        rows = torch.arange(len(clips), device=clips.device)
    training = encoder.training
    encoder.eval()
    features = [
        encoder(to_stream(test_view(clips, part, frames), stream, clips.layout)).float().cpu()
        for part in rows.split(BATCH)
    ]
    encoder.train(training)
    return torch.cat(features)
