"""Section `evaluate` of `params.yaml`."""

from __future__ import annotations

from pydantic import Field

from c2vl.core.params import ParamsModel
from c2vl.evaluation.fusion import FusedScores


class LinearParams(ParamsModel):
    """Linear evaluation by SGD with momentum 0.9 on cached, standardised features, as AimCLR's."""

    epochs: int = Field(default=100, ge=1, description="AimCLR's 100")
    learning_rate: float = Field(
        default=0.1, gt=0, description="AimCLR's 3.0 is for features that are not standardised"
    )
    batch: int = Field(default=128, ge=1, description="AimCLR's 128")
    milestones: list[int] = Field(
        default=[80], description="epochs after which the rate is multiplied by 0.1; AimCLR's 80"
    )


class FusionParams(ParamsModel):
    """What is added of the streams, and with which weights; AimCLR's and CTR-GCN's by default."""

    scores: FusedScores = Field(
        default="logits", description="logits, as the published scripts; or softmax scores"
    )
    joint: float = Field(default=0.6, ge=0)
    bone: float = Field(default=0.6, ge=0)
    motion: float = Field(default=0.4, ge=0)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each stream."""
        return {"joint": self.joint, "bone": self.bone, "motion": self.motion}


class EvaluateParams(ParamsModel):
    """Section `evaluate`."""

    seed: int = 0
    knn_neighbours: int = Field(
        default=1, ge=1, description="k = 1 by cosine, as skeleton-contrast (ISC) and CMD"
    )
    linear: LinearParams = LinearParams()
    fusion: FusionParams = FusionParams()
