"""The encoder's loss: crops against sentences of the batch, and against all class names."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from c2vl.studio import vocabulary
from c2vl.studio.engines.checkpoints import encoder_tokenizer
from c2vl.studio.engines.training_crops import Crops
from c2vl.studio.engines.wording import CLASS_TEMPLATES

TRUE = 0.5  # share of the sentences that are true ones; the others are answers


class Texts:
    """Tokens of both sentences of each crop, and of all class names in all templates."""

    def __init__(self, crops: Crops) -> None:
        tokenizer = encoder_tokenizer()
        both = np.concatenate([crops.answers, crops.truths])
        distinct, inverse = np.unique(both, return_inverse=True)
        self._text_of = torch.from_numpy(inverse.reshape(2, len(crops)))
        self._sentences = tokenizer(list(map(str, distinct)), padding=True, return_tensors="pt")
        self._names = [
            tokenizer(
                [template.format(name) for name in vocabulary.ACTIONS],
                padding=True,
                return_tensors="pt",
            )
            for template in CLASS_TEMPLATES
        ]

    def sentences(
        self, model: Any, crops: torch.Tensor, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Unit features (M, d) of a sentence of each crop, each text once, and its index (B,)."""
        which = torch.from_numpy((rng.random(len(crops)) < TRUE).astype(np.int64))
        texts, index = self._text_of[which, crops].unique(return_inverse=True)
        masks = self._sentences["attention_mask"][texts]
        length = int(masks.sum(1).max())  # the longest of these; padding is behind the text
        tokens = self._sentences["input_ids"][texts, :length]
        features = model.get_text_features(input_ids=tokens, attention_mask=masks[:, :length])
        return F.normalize(features.pooler_output, dim=-1), index

    def names(self, model: Any, rng: np.random.Generator) -> torch.Tensor:
        """Unit features (C, d) of the class names; bare or in a random template."""
        choice = 0 if rng.random() < 0.5 else int(rng.integers(len(self._names)))
        return F.normalize(model.get_text_features(**self._names[choice]).pooler_output, dim=-1)


def contrastive_loss(
    images: torch.Tensor, texts: torch.Tensor, right: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """InfoNCE in both directions.

    Args:
        images: (B, d) unit vectors.
        texts: (M, d) unit vectors, also of texts that no image has.
        right: (B,) index of each image's text; several images may share a text.
        scale: the inverse temperature.
    """
    logits = scale * images @ texts.T  # (B, M)
    present = right.unique()
    share = (present[:, None] == right[None, :]).float()
    share = share / share.sum(1, keepdim=True)
    to_images = -(F.log_softmax(logits.T[present], dim=1) * share).sum(1).mean()
    return (F.cross_entropy(logits, right) + to_images) / 2
