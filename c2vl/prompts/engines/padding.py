"""Join prompts of unequal length to a batch: pad the words on the left, pack or pad the pixels.

A model of native resolution sees as many tokens as a crop has pixels, so hardly two crops of a
batch have equal shapes. How processors of transformers join their images is one of these:

- patches in one long list, with a grid for each image (Qwen-VL, GLM-V), or tiles in one list
  (InternVL), or patches side by side (MiniCPM-V): joined end to end
- a number of tiles for each image (LLaVA-NeXT, LLaVA-OneVision, Idefics, SmolVLM), or pictures of
  unequal size (Pixtral): filled up with zeros, which the model takes away again
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from c2vl.prompts.engines.model_inputs import is_packed

if TYPE_CHECKING:
    import torch

    from c2vl.prompts.engines.model_inputs import Inputs

MOST_PADDING = 0.25  # of a batch's tokens
NOT_SEEN = {"labels"}  # of a processor that also trains


def length(item: Inputs) -> int:
    """Number of tokens of an item's prompt, those of its image included; 0 if it has none."""
    return int(item["input_ids"].shape[1]) if "input_ids" in item else 0


def group_by_length(lengths: Sequence[int], most: float = MOST_PADDING) -> list[list[int]]:
    """Group the indices of items so that at most a share `most` of a group's tokens is padding.

    Items of like length share a group. The order inside a group is that of the items.
    """
    groups: list[list[int]] = []
    total = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        total += lengths[index]
        whole = lengths[groups[-1][0]] * (len(groups[-1]) + 1) if groups else 0
        if groups and whole - total <= most * whole:
            groups[-1].append(index)
        else:
            groups.append([index])
            total = lengths[index]
    return [sorted(group) for group in groups]


def padding(lengths: Sequence[int], groups: Sequence[Sequence[int]]) -> int:
    """Number of tokens that pad these groups."""
    return sum(
        max(lengths[index] for index in group) - lengths[index]
        for group in groups
        for index in group
    )


def padded(items: Sequence[Inputs], pad: int) -> list[Inputs]:
    """Give the items tensors that `to_batch` can join end to end.

    Args:
        items: with `input_ids` and `attention_mask`, (1, L) each.
        pad: token that fills prompts up; the mask hides it.
    """
    longest = max(length(item) for item in items)
    names = [name for name in items[0] if name not in NOT_SEEN]
    kept = {name for name in names if is_packed(items[0], name)}
    words = {name for name in names if all(_is_of_words(item, name) for item in items)}
    largest = {
        name: [max(sizes) for sizes in zip(*(item[name].shape[1:] for item in items), strict=True)]
        for name in names
        if name not in kept
    }
    return [
        {
            name: _left(item[name], longest, pad if name == "input_ids" else 0)
            if name in words
            else item[name]
            if name in kept
            else _right(item[name], largest[name])
            for name in names
        }
        for item in items
    ]


def _is_of_words(item: Inputs, name: str) -> bool:
    return tuple(item[name].shape[:2]) == (1, length(item))


def _left(tensor: torch.Tensor, size: int, value: int) -> torch.Tensor:
    """Fill (1, L, ...) up to (1, size, ...) at the left."""
    if tensor.shape[1] == size:
        return tensor
    made = tensor.new_full((1, size, *tensor.shape[2:]), value)
    made[:, size - tensor.shape[1] :] = tensor
    return made


def _right(tensor: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """Fill all dimensions but the first up to `sizes` with zeros at the right."""
    if list(tensor.shape[1:]) == list(sizes):
        return tensor
    made = tensor.new_zeros((tensor.shape[0], *sizes))
    made[tuple(slice(size) for size in tensor.shape)] = tensor
    return made
