"""The three streams of a clip: joint positions, bone vectors, and motion between frames."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from c2vl.models.graph import SkeletonGraph, graph_of

Stream = Literal["joint", "bone", "motion"]
STREAMS: tuple[Stream, ...] = ("joint", "bone", "motion")


def bone(x: Tensor, graph: SkeletonGraph | None = None) -> Tensor:
    """Vector to each joint from its parent, zero for the root; (B, C, T, V, M) in metres.

    Without a `graph` it is the named one with V joints.
    """
    graph = graph or graph_of(x.shape[3])
    return x - x[:, :, :, list(graph.parents)]


def motion(x: Tensor) -> Tensor:
    """x[t+1] - x[t], the last frame zero; (B, C, T, V, M), same shape out."""
    return torch.cat([x[:, :, 1:] - x[:, :, :-1], torch.zeros_like(x[:, :, :1])], dim=2)


def to_stream(x: Tensor, stream: Stream, graph: SkeletonGraph | None = None) -> Tensor:
    """Turn a view of joint positions (B, C, T, V, M) into one of the streams."""
    if stream == "bone":
        return bone(x, graph)
    return motion(x) if stream == "motion" else x
