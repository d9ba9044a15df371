"""Similarities of skeletons and prompts in the shared space (Fig. 4 and 5 of C²VL)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch

from c2vl.evaluation.encoded import Encoded
from c2vl.models.prompt_features import Prompts

NEGATIVES = 16  # a sample
CLIPS = 1024  # clips compared at once: with CLIP's 768 numbers and 16 others 53 MB


def pair_similarities(encoded: Encoded, prompts: Prompts, seed: int) -> pa.Table | None:
    """Cosines of every test skeleton with its own mean prompt and with those of 16 other clips.

    Clips without prompts are left out.

    Args:
        encoded: an encoder with heads into the shared space.
        prompts: of the test clips, in their order.
        seed: of the choice of negatives.

    Returns:
        Columns `knowledge, sample, other, kind, same_class, similarity`, a clip's own pair before
        its negatives; None for an encoder without heads.
    """
    rows = prompts.usable().cpu()
    generator = torch.Generator().manual_seed(seed)
    means = prompts.take(rows.to(prompts.valid.device), "mean", generator)
    skeletons = encoded.embedded("skeleton_head", encoded.features.test[rows.numpy()])
    if skeletons is None:
        return None
    count = min(NEGATIVES, len(rows) - 1)
    shift = torch.stack(
        [torch.randperm(len(rows) - 1, generator=generator)[:count] + 1 for _ in rows]
    )
    others = torch.cat([torch.zeros(len(rows), 1, dtype=torch.int64), shift], 1)
    others = (others + torch.arange(len(rows))[:, None]) % len(rows)  # column 0: the clip itself
    mine, theirs = rows.repeat_interleave(count + 1).numpy(), rows[others].reshape(-1).numpy()
    samples, labels = pa.array(encoded.test_samples), encoded.features.test_labels
    pairs = {
        "sample": samples.take(pa.array(mine)),
        "other": samples.take(pa.array(theirs)),
        "kind": pa.array(np.where(mine == theirs, "positive", "negative")),
        "same_class": pa.array(labels[mine] == labels[theirs]),
    }
    found = []
    for kind, values in means.items():
        embedded = encoded.embedded(f"prompt_heads.{kind}", values.cpu().numpy())
        assert embedded is not None
        blocks = [
            np.einsum("nd,nmd->nm", skeletons[at.numpy()], embedded[others[at].numpy()])
            for at in torch.arange(len(rows)).split(CLIPS)
        ]
        cosines = pa.array(np.concatenate(blocks).reshape(-1).astype(np.float32))
        found.append(
            pa.table({"knowledge": pa.array([kind] * len(mine)), **pairs, "similarity": cosines})
        )
    return pa.concat_tables(found)
