"""What the sweeps of a file cost here: trainings, clips, hours (`c2vl plan --sweeps FILE`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from c2vl.commands.costs.splits import Split, splits_of
from c2vl.experiments.ablation.validation import SHARE
from c2vl.models.streams import STREAMS
from c2vl.training.schedule import steps_an_epoch

if TYPE_CHECKING:
    from c2vl.commands.costs.training_speed import Speed
    from c2vl.evaluation.evaluate_params import EvaluateParams
    from c2vl.experiments.ablation.declared import Job


@dataclass(frozen=True)
class Cost:
    """Cost of some runs.

    Attributes:
        trainings: how many encoders are trained.
        clips: how many go forward and backward, over all epochs.
        seconds: of one process, with the evaluations.
    """

    trainings: int = 0
    clips: int = 0
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.trainings + other.trainings,
            self.clips + other.clips,
            self.seconds + other.seconds,
        )


def cost_of(job: Job, splits: Mapping[str, Split], speed: Speed, protocols: EvaluateParams) -> Cost:
    """Cost of one run: its trainings, features of all clips, linear evaluation and KNN."""
    split = splits[job.benchmark]
    train, test = split.train, split.test
    if job.split == "validation":
        test = round(SHARE * train)
        train -= test
    params, trainings = job.params, len(STREAMS) if job.fused else 1
    clips = params.epochs * steps_an_epoch(train, params.batch) * min(params.batch, train)
    linear = protocols.linear.epochs * ceil(train / protocols.linear.batch)
    once = clips * params.objective.views / speed.train + (train + test) / speed.encode
    once += linear * speed.step + train * test / speed.pairs
    return Cost(trainings, trainings * clips, trainings * once)


def plan_sweeps(file: Path, out: Path) -> str:
    """Sentences on what the sweeps of a file cost on this machine, without what is done.

    Args:
        file: the declared sweeps.
        out: folder of their results, with `runs/`.

    Raises:
        UserError: the file or the index cannot be read, or a setting is not allowed.
    """
    from c2vl.commands.costs.training_speed import measured
    from c2vl.core import machine
    from c2vl.core.layout_file import read_layout
    from c2vl.core.params import load_section
    from c2vl.core.tables.fingerprint import data_fingerprint
    from c2vl.datasets.data_params import DataParams
    from c2vl.evaluation.evaluate_params import EvaluateParams
    from c2vl.experiments.ablation.declared import applied, read_ablations
    from c2vl.experiments.ablation.planned import planned
    from c2vl.experiments.compare import finished
    from c2vl.training.training_params import PretrainParams

    data = load_section("data", DataParams)
    declared = read_ablations(file).of(data)
    layout = read_layout(Path("data"))
    pretrain = load_section("pretrain", PretrainParams).on(layout)
    base = applied(pretrain, declared.base, f"{file}, `base`")
    protocols = load_section("evaluate", EvaluateParams)
    splits = splits_of(Path("data"), data.benchmarks)
    content = data_fingerprint(Path("data"))
    plan = planned(declared.sweeps, declared, base, content, protocols, str(file))
    speeds: dict[tuple[str, int], Speed] = {}
    every, rest = Cost(), Cost()
    for key, job in plan.jobs.items():
        kind = (job.params.encoder.model_dump_json(), job.params.view.frames)
        if kind not in speeds:
            classes = splits[job.benchmark].classes
            speeds[kind] = measured(job.params, layout, classes, protocols.linear.batch)
        cost = cost_of(job, splits, speeds[kind], protocols)
        every += cost
        if finished(out / "runs" / f"{key}.json", key) is None:
            rest += cost
    processes = machine.workers() if machine.device().type == "cpu" else 1
    hours = rest.seconds / processes / 3600
    return (
        f"{file}: {len(plan.jobs)} runs train {every.trainings} encoders on "
        f"{every.clips / 1e6:.1f} million clips.\n"
        f"To do: {rest.trainings} trainings, {hours:.1f} hours with {processes} at once."
    )
