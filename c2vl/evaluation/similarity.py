"""Similarities of skeletons and prompts in the shared space, of pairs and of non-pairs (Fig. 4 and 5 of C²VL)."""

from __future__ import annotations

import numpy as np
import torch

from c2vl.evaluation.encoded import Encoded
from c2vl.training.prompts import Prompts

NEGATIVES = 16  # a sample


def pair_similarities(encoded: Encoded, prompts: Prompts, seed: int) -> list[dict[str, object]]:
    """Cosines of every test skeleton with its own mean prompt and with 16 others', for the clips that have prompts.

    Args:
        encoded: an encoder with heads into the shared space.
        prompts: of the test clips, in their order.
        seed: of the choice of negatives.

    Returns:
        Rows `knowledge, sample, other, kind, same_class, similarity`; none for an encoder without heads.
    """
    rows = prompts.usable().cpu()
    generator = torch.Generator().manual_seed(seed)
    means = prompts.take(rows.to(prompts.valid.device), "mean", generator)
    skeletons = encoded.embedded("skeleton_head", encoded.features.test[rows.numpy()])
    if skeletons is None:
        return []
    labels, samples = encoded.features.test_labels, encoded.test_samples
    count = min(NEGATIVES, len(rows) - 1)
    shift = torch.stack([torch.randperm(len(rows) - 1, generator=generator)[:count] + 1 for _ in rows])
    others = torch.cat([torch.zeros(len(rows), 1, dtype=torch.int64), shift], 1)
    others = (others + torch.arange(len(rows))[:, None]) % len(rows)  # column 0: the clip itself
    found: list[dict[str, object]] = []
    for kind, values in means.items():
        embedded = encoded.embedded(f"prompt_heads.{kind}", values.cpu().numpy())
        assert embedded is not None
        cosines = np.einsum("nd,nmd->nm", skeletons, embedded[others.numpy()])
        for own, (candidates, similarity) in enumerate(zip(others.tolist(), cosines.tolist(), strict=True)):
            for other, value in zip(candidates, similarity, strict=True):
                mine, theirs = int(rows[own]), int(rows[other])
                found.append(
                    {
                        "knowledge": kind,
                        "sample": samples[mine],
                        "other": samples[theirs],
                        "kind": "positive" if mine == theirs else "negative",
                        "same_class": bool(labels[mine] == labels[theirs]),
                        "similarity": value,
                    }
                )
    return found
