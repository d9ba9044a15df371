"""What a processor makes of one item, and how several become one batch."""

from __future__ import annotations

import copy
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    Inputs = Mapping[
        str, torch.Tensor
    ]  # of one item: every tensor begins with this item's own rows


class ThreadLocalProcessor:
    """A processor's copies, one a thread.

    Items are made ready in several threads, and a fast tokenizer that two threads use at once fails with
    "Already borrowed".
    """

    def __init__(self, processor: Any) -> None:
        self._original, self._copies, self._lock = processor, threading.local(), threading.Lock()

    def __reduce__(self) -> tuple[type[ThreadLocalProcessor], tuple[Any]]:
        return ThreadLocalProcessor, (self._original,)

    def __call__(self, dtype: torch.dtype, **arguments: Any) -> Inputs:
        """Process one item: its tensors on the CPU, numbers with a fraction already as `dtype`."""
        made = tensors(self.here()(**arguments, return_tensors="pt"))
        made = {
            name: value.to(dtype) if value.is_floating_point() else value
            for name, value in made.items()
        }
        return {
            name: value.contiguous() for name, value in made.items()
        }  # as they come from another process

    def here(self) -> Any:
        """This thread's copy."""
        if not hasattr(self._copies, "processor"):
            with self._lock:
                self._copies.processor = copy.deepcopy(self._original)
        return self._copies.processor


def tensors(made: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """What of a processor's output is a tensor."""
    return {name: value for name, value in made.items() if hasattr(value, "is_floating_point")}


def group_by_shape(items: Sequence[Inputs]) -> list[list[int]]:
    """Indices of items grouped so that all tensors of a group have equal shapes, in the order they appear.

    Such a batch needs no padding, so that nothing of an item's result is its neighbours' doing.
    """
    groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        groups[tuple((name, tuple(tensor.shape)) for name, tensor in sorted(item.items()))].append(
            index
        )
    return list(groups.values())


def to_batch(items: Sequence[Inputs], device: torch.device) -> dict[str, torch.Tensor]:
    """One batch of items of equal shapes, on `device`. A tensor that all items share goes there once."""
    import torch

    batch = {}
    for name, first in items[0].items():
        if all(item[name] is first for item in items):
            batch[name] = first.to(device).repeat(len(items), *(1 for _ in first.shape[1:]))
        else:
            batch[name] = torch.cat([item[name] for item in items]).to(device)
    return batch
