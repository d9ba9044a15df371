"""Skeleton encoders by name, so that an experiment changes one line of `params.yaml`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from c2vl.models.stgcn import STGCN
from c2vl.params import ParamsModel
from c2vl.skeletons.graph import NTU25, SkeletonGraph


class SkeletonEncoderParams(ParamsModel):
    """Section `pretrain.encoder`; the arguments are those of the encoder's class."""

    name: Literal["stgcn"] = "stgcn"
    width: int = Field(default=64, ge=1)
    blocks: int = Field(default=10, ge=3, le=10)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    persons: Literal["padded", "present"] = "padded"


def build_encoder(params: SkeletonEncoderParams, graph: SkeletonGraph = NTU25) -> nn.Module:
    """Return a freshly initialised encoder `(B, C, T, V, M) -> (B, D)` with its D as `.features`.

    The weights are drawn from torch's global generator: seed it first.
    """
    encoders = {"stgcn": STGCN}
    arguments = params.model_dump(exclude={"name"})
    return encoders[params.name](graph=graph, **arguments)
