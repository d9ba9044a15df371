"""How many clips the two encoders of a zero-shot split train on."""

from __future__ import annotations

from pathlib import Path

from c2vl.commands.pipeline.training_cells import Cell
from c2vl.core.errors import UserError
from c2vl.core.layout_file import read_layout
from c2vl.core.params import load_section
from c2vl.datasets.data_params import DataParams
from c2vl.training.training_params import PretrainParams
from c2vl.training.zero_shot.protocols import find_split
from c2vl.training.zero_shot.samples import ASIDE
from c2vl.training.zero_shot.zero_shot_params import ZeroShotParams

STAGE = "zero_shot_pretrain"


def zero_shot_shares(cell: Cell, benchmark: str, classes: int) -> list[float]:
    """The share of the training clips that each encoder of a cell sees, all classes of one size.

    The encoders are those of `described`, in its order: that of the gate, then the final one. Empty
    for a split of another data set: the stage notes that and trains nothing.

    Raises:
        UserError: a section of params.yaml is wrong.
    """
    params, dataset = load_section("zero_shot", ZeroShotParams), load_section("data", DataParams)
    name = cell.name.partition("@")[2]
    try:
        split = find_split(name, dataset.dataset, benchmark, classes, params.unseen, params.seed)
    except UserError:
        return []
    seen = len(split.seen)
    return [(seen - split.held_out) / classes * (1 - 1 / ASIDE), seen / classes]


def zero_shot_params() -> PretrainParams:
    """The parameters that these encoders train with."""
    pretrain = load_section("pretrain", PretrainParams).on(read_layout(Path("data")))
    return load_section("zero_shot", ZeroShotParams).pretraining(pretrain)
