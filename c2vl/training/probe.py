"""A KNN probe within the training split, while an encoder trains: it shows a collapse.

This is a diagnostic: no parameter, stopping or choice of a model depends on it, and it sees no test
sample. It is the only place of pretraining that sees labels (training labels).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from c2vl.models.encode import encode
from c2vl.models.ragged import RaggedSkeletons
from c2vl.models.streams import Stream

QUERIES, GALLERY = 500, 2000  # at most; enough to see a collapse, cheap on any data set


class Probe:
    """Nearest-neighbour accuracy of held-out training clips among the others.

    A fifth of the clips, at random, is held out.
    """

    def __init__(
        self, clips: RaggedSkeletons, labels: np.ndarray, stream: Stream, frames: int, seed: int
    ) -> None:
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(clips)))
        held_out = max(1, len(order) // 5)
        self.queries = order[:held_out][:QUERIES].to(clips.device)
        self.gallery = order[held_out:][:GALLERY].to(clips.device)
        self.clips, self.stream, self.frames = clips, stream, frames
        self.labels = torch.from_numpy(labels)

    def accuracy(self, encoder: nn.Module) -> float:
        """Share of the queries whose nearest gallery clip (cosine) has their label, 0…1."""
        queries, gallery = (
            normalize(encode(encoder, self.clips, self.stream, self.frames, rows), dim=1)
            for rows in (self.queries, self.gallery)
        )
        nearest = self.gallery.cpu()[(queries @ gallery.T).argmax(1)]
        return float((self.labels[nearest] == self.labels[self.queries.cpu()]).float().mean())
