"""Draws tokens instead of taking the likeliest: noise on the logits, seeded by the crop.

The largest of logits + temperature · Gumbel noise is a draw from softmax(logits / temperature)
(Gumbel 1954; Maddison et al., "A* Sampling", 2014). So greedy decoding with this noise samples, and
a crop gets the same answer in every batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from c2vl.prompts.engines.model_inputs import Inputs


class TokenNoise:
    """A logits processor for one batch.

    Args:
        ready: the prepared crops of the batch, in order, on the CPU.
        temperature: 1 draws from the model's own probabilities; smaller values favour likely ones.
    """

    def __init__(self, ready: Sequence[Inputs], temperature: float) -> None:
        import torch

        self._temperature = temperature
        self._generators = [torch.Generator().manual_seed(seed_of(one)) for one in ready]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Add noise to the logits (N, V) of the next token."""
        import torch

        size = scores.shape[1]
        even = torch.stack([torch.rand(size, generator=one) for one in self._generators])
        noise = -torch.log(-torch.log(even.clamp(1e-7, 1 - 1e-7)))
        return scores + self._temperature * noise.to(scores.device, scores.dtype)


def seed_of(ready: Inputs) -> int:
    """A number that depends on the prepared crop and its prompt alone."""
    import torch

    digest = hashlib.blake2b(digest_size=7)
    for name in sorted(ready):
        digest.update(name.encode())
        digest.update(ready[name].contiguous().view(torch.uint8).numpy().tobytes())
    return int.from_bytes(digest.digest(), "big")
