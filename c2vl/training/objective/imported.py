"""A user's own loss in the place of ours, by the import path in `pretrain.objective.name`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from c2vl.core.errors import UserError
from c2vl.core.extensions import imported
from c2vl.training.objective.cross_entropy import Objective
from c2vl.training.objective.embeddings import Embeddings
from c2vl.training.objective.temperature import Temperature

if TYPE_CHECKING:
    from c2vl.training.objective.objective_params import ObjectiveParams

KEY = "pretrain.objective.name"


class ImportedObjective(nn.Module):
    """Calls a user's loss as the training step calls ours.

    The loss takes `(student, teacher, alpha, generator)` and returns the loss, a scalar tensor, or
    an `Objective`. If it has an attribute `temperature` (a `Temperature`), that one is trained,
    else one of `pretrain.objective` that nothing uses.
    """

    def __init__(self, loss: nn.Module, temperature: float, learnable: bool) -> None:
        super().__init__()
        self.loss = loss
        own = getattr(loss, "temperature", None)
        self.temperature = (
            own if isinstance(own, Temperature) else Temperature(temperature, learnable)
        )

    def forward(
        self, student: Embeddings, teacher: Embeddings, alpha: float, generator: torch.Generator
    ) -> Objective:
        """The loss of a batch; diagnostics that it does not give are 0."""
        found: Objective | Tensor = self.loss(student, teacher, alpha, generator)
        if isinstance(found, Objective):
            return found
        nothing = found.new_zeros(())
        return Objective(found, diagonal=nothing, entropy=nothing)


def load_objective(params: ObjectiveParams) -> ImportedObjective:
    """Build the loss that `params.name` names, and try it on four random pairs.

    Raises:
        UserError: it cannot be imported, takes other arguments, or breaks the interface.
    """
    assert params.name is not None
    wrong = f"params.yaml: `{KEY}`: {params.name}"
    made = imported(params.name, KEY)
    if not (isinstance(made, type) and issubclass(made, nn.Module)):
        raise UserError(f"{wrong} is not a class of torch.nn.Module.")
    try:
        inspect.signature(made).bind(**params.arguments)
    except TypeError as error:
        raise UserError(
            f"{wrong}: {error}; it is called with the keys of `pretrain.objective.arguments`."
        ) from None
    with torch.random.fork_rng(devices=[]):
        try:
            loss = made(**params.arguments)
            objective = ImportedObjective(loss, params.temperature, params.learnable_temperature)
            found = _tried(objective, params)
        except Exception as error:
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise UserError(f"{wrong} failed on a batch of four ({said}).") from None
    if found.loss.ndim or not found.loss.requires_grad:
        raise UserError(f"{wrong} has to return a scalar tensor that has a gradient.")
    return objective


def _tried(objective: nn.Module, params: ObjectiveParams) -> Objective:
    generator = torch.Generator().manual_seed(0)
    rows = [
        nn.functional.normalize(torch.randn(4, 8, generator=generator), dim=1).requires_grad_()
        for _ in range(3)
    ]
    student = Embeddings(rows[0], dict(zip(params.kinds, rows[1:], strict=False)))
    found: Any = objective(student, student.detach(), 0.5, generator)
    return found
