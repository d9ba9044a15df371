"""A batch in the shared space: unit embeddings of skeletons and of their knowledge prompts, and the heads that make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


@dataclass(frozen=True)
class Embeddings:
    """S, and X by kind of knowledge (`vision`: V, `language`: L); each (B, d) with unit rows."""

    skeleton: Tensor
    prompts: dict[str, Tensor]

    def detach(self) -> Embeddings:
        """The same values as constants."""
        return Embeddings(self.skeleton.detach(), {kind: x.detach() for kind, x in self.prompts.items()})


class AlignedEncoder(nn.Module):
    """A skeleton encoder with one linear head a modality into the shared space.

    Args:
        encoder: `(B, C, T, V, M) -> (B, D)` with its D as `.features`.
        widths: width of the prompts' features by kind of knowledge.
        dimension: d of the shared space.
    """

    def __init__(self, encoder: nn.Module, widths: Mapping[str, int], dimension: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.skeleton_head = nn.Linear(int(encoder.features), dimension)  # type: ignore[arg-type]
        self.prompt_heads = nn.ModuleDict({kind: nn.Linear(width, dimension) for kind, width in widths.items()})

    def forward(self, x: Tensor, prompts: Mapping[str, Tensor]) -> Embeddings:
        """Embed clips (B, C, T, V, M) and their prompts' features, each (B, width)."""
        return Embeddings(self.embed_skeletons(self.encoder(x)), {k: self.embed_prompts(k, p) for k, p in prompts.items()})

    def embed_skeletons(self, features: Tensor) -> Tensor:
        """Encoder features (B, D) to the shared space, (B, d) unit rows."""
        return _unit(self.skeleton_head, features)

    def embed_prompts(self, kind: str, features: Tensor) -> Tensor:
        """Prompt features (B, width) to the shared space, (B, d) unit rows."""
        return _unit(self.prompt_heads[kind], features)


def _unit(head: nn.Module, features: Tensor) -> Tensor:
    """Unit rows of a head, in the head's own precision also under autocast: cosines are divided by a small temperature."""
    with torch.autocast(features.device.type, enabled=False):
        return normalize(head(features.to(next(head.parameters()).dtype)), dim=1)
