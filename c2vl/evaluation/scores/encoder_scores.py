"""Quality of the encoder's shared space: crop ↔ sentence retrieval, and zero-shot recognition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2vl.evaluation.ranking import chance, unit, wrong_before

Features = NDArray[np.floating]  # (N, d)


def retrieval(
    images: Features,
    texts: Features,
    meanings: Sequence[str],
    candidates: int = 100,
    draws: int = 10,
    seed: int = 0,
    distinct: bool = False,
) -> dict[str, Any]:
    """Crop → sentence and sentence → crop among `candidates` frames, averaged over seeded draws.

    Each draw takes `candidates` different frames at random with their true sentences. Frames that
    share a meaning are right answers for each other: their sentences may say no more. Where few
    meanings make most of the world, that is easier than it sounds (see `chance5`); `distinct` draws
    one frame a meaning.

    Args:
        images: (N, d) features of the crops.
        texts: (N, d) features of the crops' true sentences.
        meanings: what the N sentences mean.
        distinct: no two candidates of a draw share a meaning; there are then at most as many as
            distinct meanings.

    Returns:
        `image_to_text` and `text_to_image`, each with `top1`, `top5`, `chance1`, `chance5`; the
        number of candidates, draws, frames and distinct meanings (`sentences`). Empty rates without
        frames.
    """
    x, y = unit(images), unit(texts)
    identity = np.unique(np.asarray(meanings, dtype=object).astype(str), return_inverse=True)[1]
    generator = np.random.default_rng(seed)
    size = min(candidates, len(np.unique(identity)) if distinct else len(x))
    found: dict[str, dict[str, list[float]]] = {"image_to_text": {}, "text_to_image": {}}
    for _ in range(draws if size else 0):
        drawn = generator.permutation(len(x))
        drawn = (
            drawn[np.sort(np.unique(identity[drawn], return_index=True)[1])] if distinct else drawn
        )
        drawn = generator.permutation(drawn)[:size]
        similarity = x[drawn] @ y[drawn].T  # (n, n): crop by sentence
        right = identity[drawn][:, None] == identity[drawn][None, :]
        for way, scores in (("image_to_text", similarity), ("text_to_image", similarity.T)):
            rank = wrong_before(scores, right)
            for top in (1, 5):
                found[way].setdefault(f"top{top}", []).append(float((rank < top).mean()))
                found[way].setdefault(f"chance{top}", []).append(
                    chance(right.sum(axis=1), size, top)
                )
    means = {
        way: {name: float(np.mean(values)) for name, values in rates.items()}
        for way, rates in found.items()
    }
    return {
        "candidates": size,
        "draws": draws,
        "frames": len(x),
        "sentences": len(set(identity.tolist())),
        **means,
    }


def zero_shot(images: Features, names: Features, labels: Sequence[int]) -> dict[str, float | int]:
    """Recognise clips by the nearest class name: no label was used to learn anything.

    Args:
        images: (N, d) one vision feature a clip, the mean over its K crops.
        names: (C, d) features of the class names.
        labels: N true labels.

    Returns:
        `top1`, `top5`, their chance levels, `clips` and `classes`.
    """
    right = np.asarray(labels)[:, None] == np.arange(len(names))[None, :]
    rank = wrong_before(unit(images) @ unit(names).T, right) if len(right) else np.empty(0)
    rates = {f"top{top}": float((rank < top).mean()) for top in (1, 5)} if len(rank) else {}
    expected = {f"chance{top}": min(1.0, top / len(names)) for top in (1, 5)}
    return {"clips": len(rank), "classes": len(names), **rates, **expected}
