"""Our loss, or a user's own: what `pretrain.objective` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2vl.training.objective import make_objective as ours

if TYPE_CHECKING:
    from c2vl.training.objective.imported import ImportedObjective
    from c2vl.training.objective.objective_params import ObjectiveParams


def make_objective(params: ObjectiveParams) -> ours.Ours | ImportedObjective:
    """Return the loss that a section asks for.

    Raises:
        UserError: it is a user's own and cannot be used.
    """
    if not params.users:
        return ours.make_objective(params)
    from c2vl.training.objective.imported import load_objective

    return load_objective(params)
