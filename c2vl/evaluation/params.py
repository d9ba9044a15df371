"""Section `evaluate` of `params.yaml`."""

from __future__ import annotations

from pydantic import Field

from c2vl.params import ParamsModel


class LinearParams(ParamsModel):
    """Linear evaluation: SGD with momentum 0.9 on a linear layer over cached features, rate falling by a cosine."""

    epochs: int = Field(default=100, ge=1)
    learning_rate: float = Field(default=0.1, gt=0)
    batch: int = Field(default=128, ge=1)


class FusionParams(ParamsModel):
    """Weights of the streams' softmax scores; the field's usual 0.6, 0.6, 0.4."""

    joint: float = Field(default=0.6, ge=0)
    bone: float = Field(default=0.6, ge=0)
    motion: float = Field(default=0.4, ge=0)


class EvaluateParams(ParamsModel):
    """Section `evaluate`."""

    seed: int = 0
    knn_neighbours: int = Field(default=1, ge=1)
    linear: LinearParams = LinearParams()
    fusion: FusionParams = FusionParams()
