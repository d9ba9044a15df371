"""Count the two encoders of each zero-shot split: the final one, and the one for the gate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from c2vl.commands.pipeline.training_cells import RESULTS, is_known
from c2vl.core.errors import UserError
from c2vl.core.files import read_json
from c2vl.core.params import load_section
from c2vl.store.trained import TrainedStore, previous_files
from c2vl.training.checkpoint import EncoderConfig
from c2vl.training.methods import described
from c2vl.training.reuse import RECORD
from c2vl.training.training_params import PretrainParams
from c2vl.training.zero_shot.protocols import find_split
from c2vl.training.zero_shot.samples import ASIDE
from c2vl.training.zero_shot.zero_shot_params import ZeroShotParams

STAGE = "zero_shot_pretrain"


def zero_shot_shares(dataset: str, benchmark: str, classes: int) -> Iterator[tuple[Path, float]]:
    """The output of each encoder, and its share of the training clips, all classes of one size.

    Raises:
        UserError: a section of params.yaml is wrong.
    """
    params = load_section("zero_shot", ZeroShotParams)
    for name in params.splits:
        try:
            split = find_split(name, dataset, benchmark, classes, params.unseen, params.seed)
        except UserError:  # of another data set: the stage notes it and trains nothing
            continue
        out, seen = RESULTS / STAGE / f"{benchmark}-{name}", len(split.seen)
        yield out / "final", seen / classes
        yield out / "gate", (seen - split.held_out) / classes * (1 - 1 / ASIDE)


def zero_shot_params() -> PretrainParams:
    """The parameters that these encoders train with."""
    pretrain = load_section("pretrain", PretrainParams)
    return load_section("zero_shot", ZeroShotParams).pretraining(pretrain)


def zero_shot_done(out: Path, benchmark: str) -> bool:
    """Whether a run would take the encoder `out` from the store or the output."""
    from c2vl.core import machine

    try:
        record = read_json(previous_files(out)[RECORD])
        data = str(record["data"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    params = zero_shot_params()
    config = EncoderConfig(
        method="c2vl",
        benchmark=benchmark,
        stream=load_section("zero_shot", ZeroShotParams).stream,
        seed=params.seed,
        encoder=params.encoder,
        frames=params.view.frames,
    )
    now = described(config, params, data, machine.device().type)
    return is_known(record, now, TrainedStore())
