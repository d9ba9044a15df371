"""Which loss a section `pretrain.objective` asks for."""

from __future__ import annotations

from c2vl.training.objective.c2vl_loss import C2VLLoss
from c2vl.training.objective.infonce import InfoNCE
from c2vl.training.objective.objective_params import ObjectiveParams
from c2vl.training.objective.temperature import LinearTemperature


def make_objective(params: ObjectiveParams) -> C2VLLoss | InfoNCE:
    """Return `InfoNCE` where both soft targets are switched off, else `C2VLLoss`."""
    loss = _hard_or_soft(params)
    if params.learns_linearly:
        loss.temperature = LinearTemperature(params.temperature)
    return loss


def _hard_or_soft(params: ObjectiveParams) -> C2VLLoss | InfoNCE:
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
        params.target_prompts == "raw",
    )
