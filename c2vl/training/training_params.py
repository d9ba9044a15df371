"""Sections `pretrain` and `baselines` of `params.yaml`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from c2vl.core.errors import UserError
from c2vl.core.layout import SkeletonLayout
from c2vl.core.layout_file import NTU, shipped_layout
from c2vl.core.params import ParamsModel
from c2vl.models.encoders.registry import SkeletonEncoderParams, STGCNParams, check_imported
from c2vl.models.views import ViewParams
from c2vl.training.objective.objective_params import ObjectiveParams

Precision = Literal["fp32", "bf16"]
Optimiser = Literal["sgd", "adamw"]
TrackerName = Literal["none", "dvclive", "tensorboard"]


class PretrainParams(ParamsModel):
    """Section `pretrain`. Defaults are the paper's (section IV-B), where it gives them."""

    seed: int = 0
    encoder: SkeletonEncoderParams = STGCNParams()
    view: ViewParams = ViewParams()
    prompts: Literal["random", "mean"] = Field(
        default="mean", description="which of a clip's K prompts a step sees"
    )
    batch: int = Field(default=400, ge=2)
    epochs: int = Field(default=150, ge=1)
    warmup_epochs: int = Field(
        default=5, ge=0, description="of a rate that rises linearly from step to step"
    )
    learning_rate: float = Field(default=0.1, gt=0)
    optimiser: Optimiser = Field(
        default="sgd", description="adamw needs a smaller rate, such as 0.001"
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of sgd; β1 of adamw")
    nesterov: bool = Field(default=True, description="of sgd")
    weight_decay: float = Field(default=5e-4, ge=0)
    milestones: list[int] = Field(
        default=[130, 140], description="epochs after which the rate is multiplied by 0.1"
    )
    weight_average: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="decay of a moving average of the weights, the result then; null: none",
    )
    precision: Precision = Field(
        default="fp32", description="bf16: the network's forward under autocast, weights in fp32"
    )
    micro_batch: int | None = Field(
        default=None,
        ge=2,
        description="clips a device takes at once; the loss is still the whole batch's; null: all",
    )
    tracker: TrackerName = Field(
        default="dvclive", description="who draws the curves while training runs"
    )
    probe_every: int = Field(
        default=5, ge=0, description="epochs between KNN probes on the training split; 0: none"
    )
    swapped: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="an experiment's noise: share of the clips that get another clip's prompts",
    )
    objective: ObjectiveParams = ObjectiveParams()

    def on(self, layout: SkeletonLayout) -> PretrainParams:
        """These parameters for clips of a skeleton, which becomes the encoder's.

        Raises:
            UserError: the encoder asks for another skeleton, or cannot use this one.
        """
        encoder, here = self.encoder, "params.yaml: `pretrain.encoder"
        if "graph" in encoder.model_fields_set and encoder.graph != layout.name:
            raise UserError(
                f"{here}.graph` is {encoder.graph}, but the skeleton of the data is {layout.name}; "
                "remove the key."
            )
        ntu = shipped_layout(NTU).parents == layout.parents
        if getattr(encoder, "partition", None) == "pyskl" and not ntu:
            raise UserError(f"{here}.partition: pyskl` is for {NTU}, not for {layout.name}.")
        if getattr(encoder, "relative", None) is True and not layout.three_d:
            raise UserError(f"{here}.relative` is for 3D joints; {layout.name} is 2D.")
        return self.model_copy(
            update={"encoder": encoder.model_copy(update={"graph": layout.name})}
        )

    @model_serializer(mode="wrap")
    def _without_noise(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out `swapped` where there is none: outputs from before it keep their bytes."""
        found: dict[str, Any] = dump(self)
        return found if self.swapped else {k: v for k, v in found.items() if k != "swapped"}

    @model_validator(mode="after")
    def _encoder_fits_view(self) -> PretrainParams:
        frames = getattr(self.encoder, "frames", self.view.frames)
        if frames != self.view.frames:
            raise ValueError(
                f"`encoder.frames` ({frames}) and `view.frames` ({self.view.frames}) "
                "have to be the same"
            )
        return self

    @model_validator(mode="after")
    def _encoder_can_be_used(self) -> PretrainParams:
        check_imported(self.encoder, self.view.frames)
        return self


class SupervisedParams(ParamsModel):
    """What supervised training sets by itself; all else is as in `pretrain`."""

    epochs: int = Field(default=150, ge=1)
    learning_rate: float = Field(default=0.1, gt=0)
    milestones: list[int] = Field(default=[130, 140])


class BaselinesParams(ParamsModel):
    """Section `baselines`."""

    supervised: SupervisedParams = SupervisedParams()

    def supervised_schedule(self, pretrain: PretrainParams) -> PretrainParams:
        """The parameters of pretraining with the schedule of `supervised`."""
        return pretrain.model_copy(update=self.supervised.model_dump())
