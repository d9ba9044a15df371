"""Section `pretrain.objective`: switches of the objective; an ablation changes only params."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from c2vl.core.extensions import is_import_path
from c2vl.core.params import ParamsModel

TWO_VIEWS = "two_views"
OF_TWO_VIEWS = ("prompt_weight", "view_temperature")
# Not written out at the value that changes nothing: outputs from before them keep their bytes.
NEUTRAL: dict[str, Any] = {
    "name": None,
    "arguments": {},
    "prompt_weight": 1.0,
    "view_temperature": 0.1,
    "target_prompts": "embedded",
    "prompt_heads": "trained",
    "temperature_form": "logarithm",
}


class ObjectiveParams(ParamsModel):
    """Switches of Eq. 1-13; without `intra` and `inter` the loss is `InfoNCE` (Eq. 1-3)."""

    name: str | None = Field(
        default=None,
        description="c2vl, infonce, two_views, or module:Class of your own (docs/extend.md)",
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
    temperature_form: Literal["logarithm", "linear"] = Field(
        default="logarithm",
        description="what is learnt; linear: the factor of the cosines, decayed as weights (GAP)",
    )
    target_prompts: Literal["embedded", "raw"] = Field(
        default="embedded",
        description="of the prompts' intra targets: their embeddings, or their frozen features",
    )
    prompt_heads: Literal["trained", "centred", "none"] = Field(
        default="trained",
        description="centred: features minus their mean over the training clips; none: features",
    )
    temperature_rate: float = Field(
        default=0.01, gt=0, description="learning rate of the temperature's logarithm"
    )

    prompt_weight: float = Field(
        default=1.0, ge=0, description="μ of `two_views`: weight of the prompts' part"
    )
    view_temperature: float = Field(
        default=0.1, ge=0.01, le=10, description="τ' of `two_views`: of the views' part"
    )

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        """`name: c2vl` and `name: infonce` are what their switches say, so they have its keys."""
        if isinstance(given, dict) and given.get("name") in ("c2vl", "infonce"):
            switches = {"intra": False, "inter": False} if given["name"] == "infonce" else {}
            return {**given, **switches, "name": None}
        return given

    @model_validator(mode="after")
    def _has_what_it_names(self) -> ObjectiveParams:
        if not self.users and self.arguments:
            raise ValueError("`arguments` are those of your own loss; give its `name` too")
        if self.name not in (None, TWO_VIEWS) and not self.users:
            raise ValueError(
                f"`name` is c2vl, infonce, {TWO_VIEWS} or module:Class, not '{self.name}'"
            )
        return self

    @model_validator(mode="after")
    def _shares_the_prompts_space(self) -> ObjectiveParams:
        if self.prompt_heads != "trained" and self.dimension is not None:
            raise ValueError("without trained `prompt_heads` leave `dimension` null")
        return self

    @model_serializer(mode="wrap")
    def _without_neutral(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what changes nothing."""
        found: dict[str, Any] = dump(self)
        return {k: v for k, v in found.items() if k not in NEUTRAL or v != NEUTRAL[k]}

    @property
    def kinds(self) -> tuple[Literal["vision", "language"], ...]:
        """The kinds of knowledge prompt in use."""
        return ("vision", "language") if self.knowledge == "both" else (self.knowledge,)

    @property
    def users(self) -> bool:
        """Whether `name` is the import path of a user's own loss."""
        return self.name is not None and is_import_path(self.name)

    @property
    def learns_linearly(self) -> bool:
        """Whether the logits' temperature is learnt as a factor of the cosines."""
        return self.learnable_temperature and self.temperature_form == "linear"

    @property
    def needs_raw(self) -> bool:
        """Whether targets are made from the prompts' frozen features."""
        return self.name is None and self.target_prompts == "raw" and self.intra

    @property
    def soft(self) -> bool:
        """Whether targets are made from a teacher's embeddings."""
        return self.name != TWO_VIEWS and not self.hard

    @property
    def views(self) -> int:
        """How many views a step embeds of each clip."""
        return 2 if self.name == TWO_VIEWS else 1

    @property
    def hard(self) -> bool:
        """Whether both soft targets are off: the loss is `InfoNCE`."""
        return self.name is None and not (self.intra or self.inter)

    def as_infonce(self) -> ObjectiveParams:
        """The baseline on the same prompts: both soft targets off, everything else equal."""
        return self.model_copy(
            update={
                "intra": False,
                "inter": False,
                "name": None,
                "arguments": {},
                **{name: NEUTRAL[name] for name in OF_TWO_VIEWS},
            }
        )

    def only_hard(self) -> ObjectiveParams:
        """As `as_infonce`, with the default of every parameter that hard targets do not read."""
        read = ["knowledge", "dimension", "prompt_heads", "temperature"]
        read += ["learnable_temperature", "temperature_form", "temperature_rate"]
        kept = {name: getattr(self, name) for name in read}
        return ObjectiveParams(**kept).as_infonce()
