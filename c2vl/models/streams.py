"""The three streams of a clip: joint positions, bone vectors, and motion between frames."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from c2vl.core.layout import SkeletonLayout

Stream = Literal["joint", "bone", "motion"]
STREAMS: tuple[Stream, ...] = ("joint", "bone", "motion")


def bone(x: Tensor, layout: SkeletonLayout) -> Tensor:
    """Vector to each joint from its parent, zero for the root; (B, C, T, V, M), same shape out.

    A 2D bone's score is the mean of its two joints' scores, as in pyskl.
    """
    parents = x[:, :, :, list(layout.parents)]
    return _difference(x, parents, layout)


def motion(x: Tensor, layout: SkeletonLayout) -> Tensor:
    """x[t+1] - x[t], the last frame zero; (B, C, T, V, M), same shape out.

    The score of a 2D joint's motion is the mean of its two scores, as in pyskl.
    """
    moved = _difference(x[:, :, 1:], x[:, :, :-1], layout)
    return torch.cat([moved, torch.zeros_like(x[:, :, :1])], dim=2)


def to_stream(x: Tensor, stream: Stream, layout: SkeletonLayout) -> Tensor:
    """Turn a view of joint positions (B, C, T, V, M) of a skeleton into one of the streams."""
    if stream == "bone":
        return bone(x, layout)
    return motion(x, layout) if stream == "motion" else x


def _difference(x: Tensor, y: Tensor, layout: SkeletonLayout) -> Tensor:
    if layout.three_d:
        return x - y
    return torch.cat([x[:, :2] - y[:, :2], (x[:, 2:] + y[:, 2:]) / 2], dim=1)
