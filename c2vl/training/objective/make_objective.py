"""Which loss a section `pretrain.objective` asks for."""

from __future__ import annotations

from c2vl.training.objective.c2vl_loss import C2VLLoss
from c2vl.training.objective.infonce import InfoNCE
from c2vl.training.objective.objective_params import TWO_VIEWS, ObjectiveParams
from c2vl.training.objective.temperature import LinearTemperature
from c2vl.training.objective.two_views import TwoViewLoss

Ours = C2VLLoss | InfoNCE | TwoViewLoss


def make_objective(params: ObjectiveParams) -> Ours:
    """Return the named loss; `InfoNCE` where both soft targets are off, else `C2VLLoss`."""
    loss = _named(params)
    if params.learns_linearly:
        loss.temperature = LinearTemperature(params.temperature)
    return loss


def _named(params: ObjectiveParams) -> Ours:
    if params.name == TWO_VIEWS:
        return TwoViewLoss(
            params.prompt_weight,
            params.view_temperature,
            params.temperature,
            params.learnable_temperature,
        )
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
