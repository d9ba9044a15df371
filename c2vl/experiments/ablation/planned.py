"""Which runs sweeps need: each run once, whichever settings it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from c2vl.experiments.ablation.declared import Ablations, Job, Sweep, jobs
from c2vl.experiments.ablation.runs import key_of

if TYPE_CHECKING:
    from c2vl.evaluation.evaluate_params import EvaluateParams
    from c2vl.training.training_params import PretrainParams


@dataclass(frozen=True)
class Planned:
    """The runs of some sweeps.

    Attributes:
        jobs: each run by its key.
        keys: for a sweep, setting and benchmark the key of each seed's run.
    """

    jobs: dict[str, Job]
    keys: dict[tuple[str, str, str], list[str]]


def planned(
    sweeps: Mapping[str, Sweep],
    declared: Ablations,
    base: PretrainParams,
    content: str,
    protocols: EvaluateParams,
    where: str,
) -> Planned:
    """Return the runs that the sweeps need.

    A run that trains all three streams answers for the joint stream too.

    Args:
        sweeps: those to run, by name.
        declared: the file that they are from.
        base: section `pretrain` with the file's `base`.
        content: fingerprint of the data.
        protocols: section `evaluate`.
        where: name of the file, for messages.

    Raises:
        UserError: a setting names no parameter, or a value is not allowed.
    """
    every: dict[str, Job] = {}
    keys: dict[tuple[str, str, str], list[str]] = {}
    for name, sweep in sweeps.items():
        for setting in sweep.settings:
            for job in jobs(sweep, setting, base, declared.seeds, f"{where}, sweep {name}"):
                key = key_of(job, content, declared.stream, protocols)
                every[key] = job
                keys.setdefault((name, setting.name, job.benchmark), []).append(key)
    answers = {}
    for key, job in every.items():
        fused = key_of(job._replace(fused=True), content, declared.stream, protocols)
        answers[key] = fused if declared.stream == "joint" and fused in every else key
    return Planned(
        {key: every[key] for key in answers.values()},
        {place: [answers[key] for key in of] for place, of in keys.items()},
    )
