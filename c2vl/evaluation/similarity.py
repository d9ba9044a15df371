"""Similarities of skeletons and prompts in the shared space, of pairs and of non-pairs (Fig. 4 and 5 of C²VL)."""

from __future__ import annotations

import numpy as np
import torch

from c2vl.objective.embeddings import AlignedEncoder
from c2vl.training.prompts import Prompts

NEGATIVES = 16  # a sample


@torch.inference_mode()
def pair_similarities(
    network: AlignedEncoder, features: np.ndarray, prompts: Prompts, labels: np.ndarray, samples: list[str], seed: int
) -> list[dict[str, object]]:
    """Cosines of every skeleton with its own mean prompt and with 16 others', for the clips that have prompts.

    Args:
        network: the encoder with its heads.
        features: of the encoder, (N, D).
        prompts: of the same N clips.
        labels: (N,), to tell which negatives share the class.
        samples: ids of the clips.
        seed: of the choice of negatives.

    Returns:
        Rows `knowledge, sample, other, kind, same_class, similarity`.
    """
    rows = prompts.usable().cpu()
    generator = torch.Generator().manual_seed(seed)
    means = prompts.take(rows.to(prompts.valid.device), "mean", generator)
    network = network.cpu().eval()
    skeletons = network.embed_skeletons(torch.from_numpy(features)[rows])
    count = min(NEGATIVES, len(rows) - 1)
    shift = torch.stack([torch.randperm(len(rows) - 1, generator=generator)[:count] + 1 for _ in rows])
    others = torch.cat([torch.zeros(len(rows), 1, dtype=torch.int64), shift], 1)
    others = (others + torch.arange(len(rows))[:, None]) % len(rows)  # column 0: the clip itself
    found: list[dict[str, object]] = []
    for kind, values in means.items():
        embedded = network.embed_prompts(kind, values.cpu())
        cosines = torch.einsum("nd,nmd->nm", skeletons, embedded[others])
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
