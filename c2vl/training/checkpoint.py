"""A trained encoder as a folder: safetensors weights, a config that rebuilds it, and curves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from c2vl.core.errors import UserError
from c2vl.core.files import read_json, write_bytes, write_json
from c2vl.core.layout import SkeletonLayout
from c2vl.core.layout_file import shipped_layout, shipped_layouts
from c2vl.core.params import ParamsModel
from c2vl.models.encoders.registry import SkeletonEncoderParams, build_encoder
from c2vl.models.graph import SkeletonGraph
from c2vl.models.streams import Stream
from c2vl.training.curves import Epoch, to_csv
from c2vl.training.objective.embeddings import AlignedEncoder
from c2vl.training.supervised import ClassifyingEncoder
from c2vl.training.weights import weights_of

WEIGHTS, CONFIG, CURVES = "encoder.safetensors", "config.json", "curves.csv"
ABSENT = "absent.json"  # in their place, where there were no prompts to learn from

Method = Literal["c2vl", "infonce", "random", "supervised", "imported", "oracle"]


class EncoderConfig(ParamsModel):
    """`config.json`: what it takes to rebuild the network, and what it was trained on.

    `prompts` (width of the prompts' features by kind) and `dimension` describe the heads of c2vl
    and infonce, `classes` the classifier of supervised. `clips` were trained on, `left_out` had no
    prompt. `training` is the section of params as it was. `skeleton` is the data's, where its name
    is none of the shipped ones.
    """

    method: Method
    benchmark: str
    stream: Stream
    seed: int
    encoder: SkeletonEncoderParams
    frames: int
    prompts: dict[str, int] = Field(default_factory=dict)
    dimension: int | None = None
    classes: int | None = None
    clips: int = 0
    left_out: int = 0
    training: dict[str, Any] = Field(default_factory=dict)
    skeleton: SkeletonLayout | None = None

    @property
    def layout(self) -> SkeletonLayout:
        """The skeleton of the clips that it was trained on."""
        return self.skeleton or shipped_layout(self.encoder.graph)

    def on(self, layout: SkeletonLayout) -> EncoderConfig:
        """The same for clips of a skeleton."""
        shipped = layout.name in shipped_layouts() and shipped_layout(layout.name) == layout
        encoder = self.encoder.model_copy(update={"graph": layout.name})
        return self.model_copy(update={"encoder": encoder, "skeleton": None if shipped else layout})

    def to_json(self) -> dict[str, Any]:
        """Plain values for a file; without `skeleton`, where a name says it."""
        return self.model_dump(mode="json", exclude={"skeleton"} if self.skeleton is None else None)

    def build(self) -> EncoderNetwork:
        """A network of this shape; its weights are random until loaded."""
        encoder = build_encoder(self.encoder, SkeletonGraph.of(self.layout))
        if self.prompts:
            return AlignedEncoder(
                encoder, self.prompts, self.dimension or max(self.prompts.values())
            )
        return ClassifyingEncoder(encoder, self.classes) if self.classes else BareEncoder(encoder)


class BareEncoder(nn.Module):
    """An encoder without a head, for one that was not trained."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder


EncoderNetwork = AlignedEncoder | ClassifyingEncoder | BareEncoder


@dataclass(frozen=True)
class Checkpoint:
    """A network read back, on the CPU in evaluation mode, with its config."""

    network: EncoderNetwork
    config: EncoderConfig

    @property
    def encoder(self) -> nn.Module:
        """The skeleton encoder alone, `(B, C, T, V, M) -> (B, D)`."""
        return self.network.encoder


def save_checkpoint(
    folder: Path, network: EncoderNetwork, config: EncoderConfig, curves: list[Epoch]
) -> None:
    """Write `encoder.safetensors` (with heads), `config.json`, `curves.csv`, each atomically."""
    write_bytes(folder / WEIGHTS, weights_of(network))
    write_bytes(folder / CURVES, to_csv(curves).encode())
    write_json(folder / CONFIG, config.to_json())


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read back what `save_checkpoint` wrote.

    Raises:
        UserError: the folder is incomplete, or its files do not belong together.
    """
    try:
        config = EncoderConfig.model_validate(read_json(folder / CONFIG))
        network = config.build()
        network.load_state_dict(load((folder / WEIGHTS).read_bytes()))
    except FileNotFoundError as error:
        if (folder / ABSENT).is_file():  # written by `c2vl.training.absent`
            reason = read_json(folder / ABSENT)["reason"]
            raise UserError(f"{folder} holds no encoder. {reason}") from None
        raise UserError(
            f"{error.filename} is missing; run `dvc repro pretrain baselines` or `dvc pull`."
        ) from None
    except (ValidationError, ValueError, RuntimeError, SafetensorError):
        raise UserError(
            f"{folder} is not an encoder of this version of c2vl; run `dvc repro -f` for its stage."
        ) from None
    return Checkpoint(network.eval(), config)
