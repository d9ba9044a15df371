"""Sections `finetune`, `semi` and `transfer` of `params.yaml`; defaults say whose they are."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, field_validator

from c2vl.core.errors import UserError
from c2vl.core.params import ParamsModel
from c2vl.models.streams import Stream
from c2vl.training.training_params import Optimiser

Start = Literal["c2vl", "scratch"]


class ScheduleParams(ParamsModel):
    """Training of an encoder and a new linear classifier on labels; BatchNorm in training mode."""

    epochs: int = Field(ge=1)
    batch: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    optimiser: Optimiser = Field(
        default="sgd", description="adamw needs a smaller rate, such as 0.001"
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of sgd; β1 of adamw")
    nesterov: bool
    weight_decay: float = Field(ge=0)
    milestones: list[int] = Field(description="epochs after which the rate is multiplied by 0.1")
    warmup_epochs: int = Field(default=0, ge=0)
    augment: bool = Field(
        default=True,
        description="the train view of pretraining (crop in time, rotation); false: the test view",
    )
    test_every: int = Field(
        default=5, ge=0, description="epochs between looks at the test split; 0: the last only"
    )


class FinetuneParams(ScheduleParams):
    """Section `finetune`. Defaults: LanglandsLin/ActCLR, `config/ntu60/finetune_eval`."""

    seed: int = 0
    streams: list[Stream] = Field(min_length=1)
    starts: list[Start] = Field(default=["c2vl", "scratch"], min_length=1)
    epochs: int = Field(default=80, ge=1)
    batch: int = Field(default=128, ge=2)
    learning_rate: float = Field(default=0.1, gt=0)
    nesterov: bool = True
    weight_decay: float = Field(default=1e-4, ge=0)
    milestones: list[int] = Field(default=[10, 50])


class SemiParams(ScheduleParams):
    """Section `semi`. Schedule: JHang2020/HiCLR, `config/gcn_ntu60/semi`; draws: CMD's."""

    seed: int = 0
    streams: list[Stream] = Field(min_length=1)
    starts: list[Start] = Field(default=["c2vl", "scratch"], min_length=1)
    fractions: list[float] = Field(
        default=[0.01, 0.05, 0.1],
        min_length=1,
        description="of the training clips that have labels",
    )
    draws: int = Field(default=5, ge=1)
    epochs: int = Field(default=60, ge=1)
    batch: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=0.1, gt=0)
    nesterov: bool = False
    weight_decay: float = Field(default=1e-4, ge=0)
    milestones: list[int] = Field(default=[15, 30])
    warmup_epochs: int = Field(default=5, ge=0)

    @field_validator("fractions")
    @classmethod
    def _shares(cls, fractions: list[float]) -> list[float]:
        if not all(0 < fraction <= 1 for fraction in fractions) or len(set(fractions)) < len(
            fractions
        ):
            raise ValueError("shares between 0 and 1, each once")
        return fractions


class TargetSplit(ParamsModel):
    """What finetuning needs to know of a target; `datasets.transfer_targets` checks the rest."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    dataset: str
    benchmark: str


class TransferParams(ScheduleParams):
    """Section `transfer`. Defaults are CMD's.

    Source: maoyunyao/CMD, `script_action_classification_cmd_transfer.sh`.
    """

    seed: int = 0
    source: str = Field(default="xsub", description="benchmark whose encoders are transferred")
    streams: list[Stream] = Field(min_length=1)
    starts: list[Start] = Field(default=["c2vl", "scratch"], min_length=1)
    targets: dict[str, TargetSplit] = Field(
        default_factory=dict, description="by name; none: no stage"
    )
    epochs: int = Field(default=80, ge=1)
    batch: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=0.01, gt=0)
    nesterov: bool = False
    weight_decay: float = Field(default=0.0, ge=0)
    milestones: list[int] = Field(default=[50, 70])

    def target(self, name: str) -> TargetSplit:
        """The target of a name.

        Raises:
            UserError: there is none.
        """
        if name not in self.targets:
            raise UserError(
                f"params.yaml: `transfer.targets` has no '{name}', "
                f"only: {', '.join(self.targets) or 'none'}."
            )
        return self.targets[name]
