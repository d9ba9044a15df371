"""Tensors that a model takes: those of one item, and those of a batch."""

from __future__ import annotations

import copy
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    import torch

    Inputs = Mapping[str, torch.Tensor]  # of one item; its rows come first in every tensor


WANT_PICTURES = {"Idefics2Processor"}  # they refuse arrays


def call(processor: Any, **arguments: Any) -> Mapping[str, Any]:
    """Call a processor for PyTorch tensors; `images` are arrays (H, W, 3), in lists or not."""
    if type(processor).__name__ in WANT_PICTURES:
        arguments["images"] = _pictures(arguments["images"])
    made: Mapping[str, Any] = processor(**arguments, return_tensors="pt")
    return made


def _pictures(images: Any) -> Any:
    if isinstance(images, (list, tuple)):
        return [_pictures(one) for one in images]
    return Image.fromarray(images)


class ThreadLocalProcessor:
    """A processor with a copy for each thread.

    Threads prepare items side by side. A fast tokenizer that two threads use at once fails with
    "Already borrowed".
    """

    def __init__(self, processor: Any) -> None:
        self._original, self._copies, self._lock = processor, threading.local(), threading.Lock()

    def __reduce__(self) -> tuple[type[ThreadLocalProcessor], tuple[Any]]:
        return ThreadLocalProcessor, (self._original,)

    def __call__(self, dtype: torch.dtype, **arguments: Any) -> Inputs:
        """Process one item; return its tensors on the CPU, floating-point ones as `dtype`."""
        made = only_tensors(call(self.of_thread(), **arguments))
        converted = {
            name: value.to(dtype) if value.is_floating_point() else value
            for name, value in made.items()
        }
        # Contiguous, as tensors from another process are: kernels, and so the last bits, depend
        # on it.
        return {name: value.contiguous() for name, value in converted.items()}

    def of_thread(self) -> Any:
        """This thread's copy of the processor."""
        if not hasattr(self._copies, "processor"):
            with self._lock:
                self._copies.processor = copy.deepcopy(self._original)
        return self._copies.processor


def only_tensors(made: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The entries of a processor's output that are tensors."""
    return {name: value for name, value in made.items() if hasattr(value, "is_floating_point")}


def group_by_shape(items: Sequence[Inputs]) -> list[list[int]]:
    """Group the indices of items whose tensors have equal shapes, in the order they appear.

    A batch of such items needs no padding, so no item's result depends on its neighbours.
    """
    groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        shapes = tuple((name, tuple(tensor.shape)) for name, tensor in sorted(item.items()))
        groups[shapes].append(index)
    return list(groups.values())


def is_packed(item: Inputs, name: str) -> bool:
    """Whether a tensor is MiniCPM-V's pixels (1, 3, P, L), whose patches lie side by side."""
    return name == "pixel_values" and "target_sizes" in item


def to_batch(items: Sequence[Inputs], device: torch.device) -> dict[str, torch.Tensor]:
    """Join items of equal shapes to one batch on `device`; a tensor they share moves there once.

    Pixels of packed patches (`is_packed`) may differ in their length.
    """
    import torch

    batch = {}
    for name, first in items[0].items():
        if is_packed(items[0], name):
            batch[name] = torch.cat([item[name] for item in items], dim=-1).to(device)
        elif all(item[name] is first for item in items):
            batch[name] = first.to(device).repeat(len(items), *(1 for _ in first.shape[1:]))
        else:
            batch[name] = torch.cat([item[name] for item in items]).to(device)
    return batch


def answers_of(
    tokens: torch.Tensor, inputs: dict[str, torch.Tensor], has_encoder: bool
) -> torch.Tensor:
    """The tokens (N, L) of the answers: without the prompts, which most models repeat.

    Args:
        tokens: what the model generated.
        inputs: what it got.
        has_encoder: whether an encoder read the prompt; then the decoder's start token comes first.
    """
    if has_encoder:
        return tokens[:, 1:]
    prompt = inputs.get("input_ids")
    if prompt is None or not prompt.equal(tokens[:, : prompt.shape[1]]):
        return tokens
    return tokens[:, prompt.shape[1] :]
