"""Section `pretrain.objective`: switches of the objective; an ablation changes only params."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from c2vl.core.params import ParamsModel

OWN = ("name", "arguments")  # of a user's loss


class ObjectiveParams(ParamsModel):
    """Switches of Eq. 1-13; without `intra` and `inter` the loss is `InfoNCE` (Eq. 1-3)."""

    name: str | None = Field(
        default=None, description="module:Class of your own loss (docs/extend.md); null: ours"
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="of that class")
    knowledge: Literal["vision", "language", "both"] = "both"
    intra: bool = True
    inter: bool = True
    partition: bool = Field(
        default=True,
        description="split the batch between the targets; false: both apply to all rows",
    )
    progressive: bool = Field(
        default=True,
        description="alpha falls by a cosine over the epochs; false: it stays at `alpha`",
    )
    alpha_start: float = Field(default=0.9, ge=0, le=1)
    alpha_end: float = Field(default=0.1, ge=0, le=1)
    alpha: float = Field(default=0.5, ge=0, le=1)
    beta: float = Field(
        default=0.2, ge=0, le=1, description="share of the self-similarity in the intra targets"
    )
    inter_identity: float = Field(
        default=0.0, ge=0, le=1, description="share of the identity mixed into the inter targets"
    )
    teacher: Literal["self", "epoch", "ema"] = "self"
    ema_decay: float = Field(default=0.99, ge=0, lt=1)
    dimension: int | None = Field(
        default=None, ge=1, description="of the shared space; null: the prompts' width"
    )
    temperature: float = Field(default=0.07, ge=0.01, le=10)
    target_temperature: float | None = Field(
        default=None, ge=0.01, le=10, description="null: the logits' temperature"
    )
    learnable_temperature: bool = False
    temperature_rate: float = Field(
        default=0.01, gt=0, description="learning rate of the temperature's logarithm"
    )

    @model_validator(mode="after")
    def _has_what_it_names(self) -> ObjectiveParams:
        if self.name is None and self.arguments:
            raise ValueError("`arguments` are those of your own loss; give its `name` too")
        return self

    @model_serializer(mode="wrap")
    def _without_empty_name(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out `name` and `arguments` of our losses."""
        found: dict[str, Any] = dump(self)
        return found if self.name else {k: v for k, v in found.items() if k not in OWN}

    @property
    def kinds(self) -> tuple[Literal["vision", "language"], ...]:
        """The kinds of knowledge prompt in use."""
        return ("vision", "language") if self.knowledge == "both" else (self.knowledge,)

    @property
    def hard(self) -> bool:
        """Whether both soft targets are off: the loss is `InfoNCE`."""
        return self.name is None and not (self.intra or self.inter)

    def as_infonce(self) -> ObjectiveParams:
        """The baseline on the same prompts: both soft targets off, everything else equal."""
        return self.model_copy(
            update={"intra": False, "inter": False, "name": None, "arguments": {}}
        )
