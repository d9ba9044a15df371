"""Runs the sweeps' jobs in parallel, with one thread each.

So the results do not depend on the number of cores.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2vl.core import machine
from c2vl.core.errors import UserError
from c2vl.core.progress import progress
from c2vl.experiments.ablation.declared import Job, Split
from c2vl.experiments.compare import Run, finished, keep, run_key
from c2vl.experiments.side_by_side import side_by_side

if TYPE_CHECKING:
    from c2vl.evaluation.evaluate_params import EvaluateParams
    from c2vl.evaluation.features import Features
    from c2vl.evaluation.protocol import Evaluated
    from c2vl.models.clips import Clips
    from c2vl.models.streams import Stream
    from c2vl.training.stage import TrainingData

log = logging.getLogger(__name__)


def key_of(job: Job, content: str, stream: Stream, protocols: EvaluateParams) -> str:
    """Key of a run: a hash of everything it depends on except the code."""
    settings = [job.params.model_dump(mode="json"), protocols.model_dump(mode="json")]
    other = [job.method] if job.method != "c2vl" else []
    of = "fused" if job.fused else stream
    return run_key(content, job.split, job.benchmark, of, *settings, *other)


def run_all(
    todo: Mapping[str, Job],
    data: Path,
    stream: Stream,
    protocols: EvaluateParams,
    folder: Path,
    again: bool,
) -> dict[str, Run]:
    """The run of every job by its key; finished runs are read, the others are computed.

    Every run is written as soon as it ends, so a stopped sweep continues with the next run. A run
    that fails, because its loss is not a number, is named and left out.

    Args:
        todo: jobs by `key_of`.
        data: the data folder.
        stream: joint, motion or bone.
        protocols: section `evaluate`.
        folder: folder of the runs, one file for each.
        again: compute finished runs again.
    """
    kept = {} if again else {key: finished(folder / f"{key}.json", key) for key in todo}
    found = {key: run for key, run in kept.items() if run is not None}
    rest = {key: job for key, job in todo.items() if key not in found}
    log.info("%d runs: %d kept from before, %d to do", len(todo), len(found), len(rest))
    todo_now = {key: (job, data, stream, protocols) for key, job in rest.items()}
    for key, run in progress(side_by_side(todo_now, attempt), "ablations", "runs", len(rest)):
        if isinstance(run, str):
            log.warning("left out: %s", run)
            continue
        keep(folder / f"{key}.json", key, run)
        found[key] = run
    return found


def attempt(job: Job, data: Path, stream: Stream, protocols: EvaluateParams) -> Run | str:
    """As `run_one`; the reason of a run that fails."""
    try:
        return run_one(job, data, stream, protocols)
    except UserError as error:
        return str(error)


def run_one(job: Job, data: Path, stream: Stream, protocols: EvaluateParams) -> Run:
    """Pretrain, then evaluate by linear classifier and KNN on the job's split."""
    import torch

    from c2vl.evaluation.frozen_features import frozen_features
    from c2vl.evaluation.protocol import evaluate
    from c2vl.experiments.ablation.three_streams import of_three_streams
    from c2vl.models.streams import STREAMS
    from c2vl.training.methods import train
    from c2vl.training.training_params import BaselinesParams

    torch.set_num_threads(1)
    seed = job.seed if job.split == "validation" else 0
    device = machine.device()
    training, test = loaded(
        data, job.benchmark, job.split, seed, job.params.objective.kinds, device
    )
    features: dict[str, Features] = {}
    results: dict[str, Evaluated] = {}
    for each in STREAMS if job.fused else (stream,):
        trained = train(job.method, *training, job.benchmark, each, job.params, BaselinesParams())
        features[each] = frozen_features(
            trained.network.encoder, training.clips, test, each, job.params.view.frames
        )
        results[each] = evaluate(features[each], training.classes, protocols, device=device)
    correct = results[stream].correct()
    if job.fused:
        correct |= of_three_streams(features, results, protocols)
    metrics = {protocol: {"top1": float(right.mean())} for protocol, right in correct.items()}
    metrics |= results[stream].metrics()
    return Run.of(metrics, correct, people_of(data, test.samples))


def people_of(data: Path, samples: Sequence[str]) -> list[int]:
    """The person of each clip, from the index; where it knows none, a number of the clip's own."""
    from c2vl.core import tables

    index = tables.read(data / "index" / "index.parquet", ["sample", "subject"])
    person = dict(zip(*(column.to_pylist() for column in index.columns), strict=True))
    found = [person[sample] for sample in samples]
    return [-number if one is None else one for number, one in enumerate(found, 1)]


@lru_cache(maxsize=4)
def loaded(
    data: Path, benchmark: str, split: Split, seed: int, kinds: Sequence[str], device: Any
) -> tuple[TrainingData, Clips]:
    """Training data, and the clips of the test or validation split; read once in each process."""
    from c2vl.experiments.ablation.validation import validation_data
    from c2vl.models.clips import load_clips
    from c2vl.training.stage import load_training

    with tempfile.TemporaryDirectory() as folder:
        source = (
            validation_data(data, benchmark, seed, Path(folder)) if split == "validation" else data
        )
        return load_training(source, benchmark, kinds, device), load_clips(
            source, benchmark, "test", device
        )
