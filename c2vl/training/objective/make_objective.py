"""Which loss a section `pretrain.objective` asks for."""

from __future__ import annotations

from c2vl.training.objective.c2vl_loss import C2VLLoss
from c2vl.training.objective.infonce import InfoNCE
from c2vl.training.objective.objective_params import ObjectiveParams


def make_objective(params: ObjectiveParams) -> C2VLLoss | InfoNCE:
    """Return `InfoNCE` where both soft targets are switched off, else `C2VLLoss`."""
    if params.hard:
        return InfoNCE(params.temperature, params.learnable_temperature)
    return C2VLLoss(
        params.beta,
        params.inter_identity,
        params.intra,
        params.inter,
        params.partition,
        params.temperature,
        params.target_temperature,
        params.learnable_temperature,
    )
