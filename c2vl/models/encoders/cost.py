"""What a clip costs an encoder: the floor under any measured time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Cost:
    """Cost of one clip, on any device: FLOPs of matrix products and convolutions, and bytes.

    A multiplication and an addition count as two.

    Attributes:
        parameters: weights of the encoder.
        forward_flops: of encoding a clip.
        training_flops: of encoding it and going back.
        saved_bytes: of activations that the forward pass keeps for the backward pass, in float32.
            They have to be written once and read once, so twice this is the least traffic of a
            training step beside the weights; in bf16 it is about half.
    """

    parameters: int
    forward_flops: int
    training_flops: int
    saved_bytes: int


def cost(
    encoder: nn.Module, frames: int = 64, joints: int = 25, persons: int = 2, channels: int = 3
) -> Cost:
    """Count on the CPU what one clip costs `encoder` in training mode.

    The clip is (channels, frames, joints, persons).

    Counted on two clips less one, so that what is done once a batch is left out.
    """
    one, two = (
        _of_batch(encoder, torch.randn(clips, channels, frames, joints, persons))
        for clips in (1, 2)
    )
    forward, training, saved = (more - less for more, less in zip(two, one, strict=True))
    return Cost(
        sum(parameter.numel() for parameter in encoder.parameters()), forward, training, saved
    )


def _of_batch(encoder: nn.Module, x: Tensor) -> tuple[int, int, int]:
    encoder = encoder.cpu().train()
    own = {
        value.untyped_storage().data_ptr() for value in [*encoder.parameters(), *encoder.buffers()]
    }
    saved: dict[int, int] = {}
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addbmm: _addbmm}) as flops:
        with _counting(saved):
            features = encoder(x)
        forward = flops.get_total_flops()
        features.sum().backward()
    encoder.zero_grad()
    return (
        forward,
        flops.get_total_flops(),
        sum(size for storage, size in saved.items() if storage not in own),
    )


def _addbmm(added: torch.Size, first: torch.Size, second: torch.Size, *_: Any, **__: Any) -> int:
    """FLOPs of a sum over matrix products, which torch's counter does not know; from the shapes."""
    products, rows, inner = first
    return 2 * products * rows * inner * second[2]


@contextmanager
def _counting(saved: dict[int, int]) -> Iterator[None]:
    """Bytes of the storages that autograd keeps, by address; shared storage counts once."""
    kept: list[Tensor] = []  # alive until all are counted, so that no address is used twice

    def pack(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        kept.append(value)
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        yield
