"""Section `zero_shot` of `params.yaml`."""

from __future__ import annotations

from pydantic import Field

from c2vl.core.params import ParamsModel
from c2vl.models.streams import Stream
from c2vl.training.training_params import PretrainParams


class ScheduleParams(ParamsModel):
    """What pretraining on the seen classes sets by itself; all else is as in `pretrain`."""

    epochs: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    milestones: list[int] = Field(
        default=[], description="epochs after which the rate is multiplied by 0.1"
    )


class AlignmentParams(ParamsModel):
    """The alignment head that is trained with the labels of seen clips."""

    epochs: int = Field(default=100, ge=1)
    learning_rate: float = Field(default=0.1, gt=0)
    batch: int = Field(default=128, ge=1)
    weight_decay: float = Field(default=5e-4, ge=0)
    temperature: float = Field(default=0.1, gt=0, description="of the cosines, in the loss")


class ZeroShotParams(ParamsModel):
    """Section `zero_shot`: which splits there are, and how they are trained."""

    seed: int = 0
    splits: list[str] = Field(
        min_length=1,
        description="published ones (docs/zero-shot.md), or draw-1, draw-2, …: seeded draws",
    )
    unseen: int = Field(default=5, ge=2, description="unseen classes of a seeded draw")
    stream: Stream = "joint"
    schedule: ScheduleParams | None = Field(default=None, description="null: that of `pretrain`")
    alignment: AlignmentParams = AlignmentParams()

    def pretraining(self, pretrain: PretrainParams) -> PretrainParams:
        """The parameters of pretraining on the seen classes."""
        own = self.schedule
        return pretrain if own is None else pretrain.model_copy(update=own.model_dump())
