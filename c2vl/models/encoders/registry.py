"""Skeleton encoders by name, so that an experiment changes one line of `params.yaml`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator
from torch import nn

from c2vl.core.errors import UserError
from c2vl.core.extensions import imported, is_import_path
from c2vl.core.layout import NAME
from c2vl.core.layout_file import NTU, shipped_layout, shipped_layouts
from c2vl.core.params import ParamsModel
from c2vl.models.encoders.ctrgcn import CTRGCN
from c2vl.models.encoders.gru import GRU, Reading
from c2vl.models.encoders.msg3d import MSG3D
from c2vl.models.encoders.persons import Persons
from c2vl.models.encoders.stgcn_published import Init, Partition, stgcn
from c2vl.models.encoders.transformer import Transformer
from c2vl.models.graph import NTU25, SkeletonGraph

GraphName = Annotated[
    str, Field(pattern=f"^{NAME.pattern}$", description="name of the data's skeleton")
]
"""If it is left out, it becomes the skeleton of the data (`PretrainParams.on`)."""


class STGCNParams(ParamsModel):
    """`encoder.name: stgcn`; the arguments are those of `STGCN` and `PublishedSTGCN`.

    The defaults of `partition`, `init`, `last_width` and `relative` are what a config without these
    keys was trained with.
    """

    name: Literal["stgcn"] = "stgcn"
    graph: GraphName = NTU
    width: int = Field(default=64, ge=1)
    blocks: int = Field(default=10, ge=3, le=10)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    persons: Persons = "padded"
    partition: Partition = "paper"
    init: Init = "torch"
    last_width: int | None = Field(default=None, ge=1)
    relative: bool = False


class CTRGCNParams(ParamsModel):
    """`encoder.name: ctrgcn`; the arguments are those of `CTRGCN`."""

    name: Literal["ctrgcn"] = "ctrgcn"
    graph: GraphName = NTU
    width: int = Field(default=64, ge=4, multiple_of=4)
    blocks: int = Field(default=10, ge=3, le=10)
    persons: Persons = "padded"


class MSG3DParams(ParamsModel):
    """`encoder.name: msg3d`; the arguments are those of `MSG3D`."""

    name: Literal["msg3d"] = "msg3d"
    graph: GraphName = NTU
    width: int = Field(default=96, ge=6, multiple_of=6)
    blocks: int = Field(default=3, ge=1, le=3)
    spatial_scales: int = Field(default=13, ge=1)
    window_scales: int = Field(default=6, ge=1)
    persons: Persons = "padded"


class GRUParams(ParamsModel):
    """`encoder.name: gru`; the arguments are those of `GRU`."""

    name: Literal["gru"] = "gru"
    graph: GraphName = NTU
    width: int = Field(default=1024, ge=1)
    layers: int = Field(default=3, ge=1)
    reading: Reading = "forward"


class TransformerParams(ParamsModel):
    """`encoder.name: transformer`; the arguments are those of `Transformer`."""

    name: Literal["transformer"] = "transformer"
    graph: GraphName = NTU
    width: int = Field(default=1024, ge=2, multiple_of=2)
    layers: int = Field(default=1, ge=1)
    heads: int = Field(default=1, ge=1)
    frames: int = Field(default=64, ge=1, description="T; has to be `view.frames`")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> TransformerParams:
        if self.width % self.heads:
            raise ValueError(f"`heads` ({self.heads}) has to divide `width` ({self.width})")
        return self


class ImportedEncoderParams(ParamsModel):
    """`encoder.name: module:Class`: your own (docs/extend.md); other keys are its arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    graph: GraphName = NTU


def _name(params: Any) -> str:
    name = (
        params.get("name", "stgcn") if isinstance(params, dict) else getattr(params, "name", None)
    )
    return "imported" if is_import_path(str(name)) else str(name)


SkeletonEncoderParams = Annotated[
    Annotated[STGCNParams, Tag("stgcn")]
    | Annotated[CTRGCNParams, Tag("ctrgcn")]
    | Annotated[MSG3DParams, Tag("msg3d")]
    | Annotated[GRUParams, Tag("gru")]
    | Annotated[TransformerParams, Tag("transformer")]
    | Annotated[ImportedEncoderParams, Tag("imported")],
    Discriminator(
        _name,
        custom_error_type="no_encoder",
        custom_error_message="no encoder has this `name`; give stgcn, ctrgcn, msg3d, gru, "
        "transformer, or your own as package.module:Class",
    ),
]
"""Section `pretrain.encoder`: which keys there are depends on `name` (`stgcn` if not given)."""


class _Encoders(dict[str, Callable[..., nn.Module]]):
    """Ours by name; any other name is an import path."""

    def __missing__(self, name: str) -> Callable[..., nn.Module]:
        found = imported(name, KEY)
        if not (isinstance(found, type) and issubclass(found, nn.Module)):
            raise UserError(f"params.yaml: `{KEY}`: {name} is not a class of torch.nn.Module.")
        return found


KEY = "pretrain.encoder.name"
ENCODERS = _Encoders(
    {"stgcn": stgcn, "ctrgcn": CTRGCN, "msg3d": MSG3D, "gru": GRU, "transformer": Transformer}
)


def build_encoder(params: SkeletonEncoderParams, graph: SkeletonGraph = NTU25) -> nn.Module:
    """Return a freshly initialised encoder `(B, C, T, V, M) -> (B, D)` with its D as `.features`.

    The weights are drawn from torch's global generator: seed it first. `graph` is the skeleton of
    the clips.
    """
    arguments = params.model_dump(exclude={"name", "graph"})
    return ENCODERS[params.name](graph=graph, **arguments)


def check_imported(params: SkeletonEncoderParams, frames: int) -> None:
    """Try a user's encoder on two empty clips; torch's random numbers stay as they are.

    Raises:
        UserError: it cannot be imported, takes other arguments, or breaks the interface.
    """
    if not is_import_path(params.name):
        return
    arguments = params.model_dump(exclude={"name", "graph"})
    wrong = f"params.yaml: `{KEY}`: {params.name}"
    try:
        inspect.signature(ENCODERS[params.name]).bind(graph=None, **arguments)
    except TypeError as error:
        raise UserError(
            f"{wrong}: {error}; it is called with graph and the other keys of `pretrain.encoder`."
        ) from None
    named = params.graph if params.graph in shipped_layouts() else NTU
    graph = SkeletonGraph.of(shipped_layout(named))
    joints = graph.joints
    with torch.random.fork_rng(devices=[]):
        try:
            encoder = build_encoder(params, graph).eval()
            with torch.no_grad():
                found = encoder(torch.zeros(2, 3, frames, joints, 2))
        except UserError:
            raise
        except Exception as error:
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise UserError(f"{wrong} failed on a clip of {frames} frames ({said}).") from None
    width = getattr(encoder, "features", None)
    if not isinstance(width, int):
        raise UserError(f"{wrong} needs an attribute `features`, the width of what it returns.")
    if not isinstance(found, torch.Tensor) or tuple(found.shape) != (2, width):
        shape = tuple(getattr(found, "shape", ())) or type(found).__name__
        raise UserError(
            f"{wrong} returned {shape} for (2, 3, {frames}, {joints}, 2); it has to return "
            f"(2, {width}), as its `features` says."
        )
