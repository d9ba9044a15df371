"""The shared space: unit embeddings of skeletons and their prompts, and the heads into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


@dataclass(frozen=True)
class Embeddings:
    """S, and X by kind of knowledge (`vision`: V, `language`: L); each (B, d) with unit rows.

    `second` is S of a second view of the skeletons, where the objective asks for one.
    """

    skeleton: Tensor
    prompts: dict[str, Tensor]
    second: Tensor | None = field(default=None, kw_only=True)

    def detach(self) -> Embeddings:
        """S and X as constants."""
        return Embeddings(
            self.skeleton.detach(), {kind: x.detach() for kind, x in self.prompts.items()}
        )


@dataclass(frozen=True)
class Known(Embeddings):
    """What targets may be made from: a teacher's embeddings, and what no network computes.

    Attributes:
        raw: by kind, the prompts' frozen features (B, width), unit rows; the mean of a clip's.
        labels: (B,) the true classes. Only the oracle is given them.
    """

    raw: dict[str, Tensor] = field(default_factory=dict)
    labels: Tensor | None = None


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
        self.prompt_heads = nn.ModuleDict(
            {kind: nn.Linear(width, dimension) for kind, width in widths.items()}
        )

    @torch.no_grad()
    def freeze_prompt_heads(self, centres: Mapping[str, Tensor]) -> None:
        """Make the prompts' heads x - centre, and train them no more.

        The shared space is then that of the prompts' features: they are anchors that do not move.

        Args:
            centres: (width,) by kind; zeros leave the features as they are.

        Raises:
            ValueError: a kind has another width than the shared space.
        """
        for kind, centre in centres.items():
            head = self.prompt_heads[kind].requires_grad_(False)
            assert isinstance(head, nn.Linear)
            if head.weight.shape != (len(centre), len(centre)):
                raise ValueError(f"{kind} prompts of {len(centre)} values do not fit {head}")
            nn.init.eye_(head.weight)
            head.bias.copy_(-centre)

    def forward(
        self, x: Tensor, prompts: Mapping[str, Tensor], second: Tensor | None = None
    ) -> Embeddings:
        """Embed clips (B, C, T, V, M) and their prompts' features, each (B, width).

        `second` are other views of the clips, of any number of frames.
        """
        views = [x] if second is None else [x, second]
        features = [self.encoder(view) for view in views]
        heads = [self.prompt_heads[kind] for kind in prompts]
        skeleton, *units = _unit(
            [self.skeleton_head, *heads, *[self.skeleton_head][: len(views) - 1]],
            [features[0], *prompts.values(), *features[1:]],
        )
        return Embeddings(
            skeleton,
            dict(zip(prompts, units[: len(heads)], strict=True)),
            second=units[-1] if len(views) > 1 else None,
        )

    def embed_skeletons(self, features: Tensor) -> Tensor:
        """Encoder features (B, D) to the shared space, (B, d) unit rows."""
        return _unit([self.skeleton_head], [features])[0]

    def embed_prompts(self, kind: str, features: Tensor) -> Tensor:
        """Prompt features (B, width) to the shared space, (B, d) unit rows."""
        return _unit([self.prompt_heads[kind]], [features])[0]


def _unit(heads: Sequence[nn.Module], features: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Apply each head and scale its rows to length 1.

    Also under autocast the heads keep their own precision, because cosines are divided by a small
    temperature. All rows are normalised at once.
    """
    with torch.autocast(features[0].device.type, enabled=False):
        dtype = next(heads[0].parameters()).dtype
        embedded = torch.stack([head(x.to(dtype)) for head, x in zip(heads, features, strict=True)])
        return normalize(embedded, dim=2).unbind(0)
