"""The encoder's loss: each crop against all sentences and class names of the synthetic world."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from c2vl.studio import vocabulary
from c2vl.studio.engines.checkpoints import encoder_tokenizer
from c2vl.studio.engines.wording import CLASS_TEMPLATES


class Texts:
    """Tokens of all distinct true sentences, and of all class names in all templates."""

    def __init__(self, sentences: np.ndarray) -> None:
        tokenizer = encoder_tokenizer()
        distinct, inverse = np.unique(sentences, return_inverse=True)
        self.sentence_of = torch.from_numpy(inverse)  # (N,) index of each crop's sentence
        self._sentences = tokenizer(list(map(str, distinct)), padding=True, return_tensors="pt")
        self._names = [
            tokenizer(
                [template.format(name) for name in vocabulary.ACTIONS],
                padding=True,
                return_tensors="pt",
            )
            for template in CLASS_TEMPLATES
        ]

    def sentences(self, model: Any) -> torch.Tensor:
        """Unit features (M, d) of all distinct sentences."""
        return F.normalize(model.get_text_features(**self._sentences).pooler_output, dim=-1)

    def names(self, model: Any, rng: np.random.Generator) -> torch.Tensor:
        """Unit features (C, d) of the class names; bare or in a random template."""
        choice = 0 if rng.random() < 0.5 else int(rng.integers(len(self._names)))
        return F.normalize(model.get_text_features(**self._names[choice]).pooler_output, dim=-1)


def contrastive_loss(
    images: torch.Tensor, texts: torch.Tensor, right: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """InfoNCE in both directions against all texts of this world, so no batch lacks negatives.

    Args:
        images: (B, d) unit vectors.
        texts: (M, d) unit vectors.
        right: (B,) index of each image's text; several images may share a text.
        scale: the inverse temperature.
    """
    logits = scale * images @ texts.T  # (B, M)
    present = right.unique()
    share = (present[:, None] == right[None, :]).float()
    share = share / share.sum(1, keepdim=True)
    to_images = -(F.log_softmax(logits.T[present], dim=1) * share).sum(1).mean()
    return (F.cross_entropy(logits, right) + to_images) / 2
