"""One run of `make compare`: a method, a stream, a seed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from c2vl.core import machine
from c2vl.experiments.ablation.runs import loaded, people_of
from c2vl.experiments.compare import Run

if TYPE_CHECKING:
    from c2vl.evaluation.evaluate_params import EvaluateParams
    from c2vl.models.streams import Stream
    from c2vl.training.checkpoint import Method
    from c2vl.training.training_params import BaselinesParams, PretrainParams


def run_method(
    method: Method,
    params: PretrainParams,
    data: Path,
    benchmark: str,
    stream: Stream,
    baselines: BaselinesParams,
    protocols: EvaluateParams,
) -> Run:
    """Train an encoder and evaluate it on the test split.

    Protocols are linear evaluation, KNN and, for a supervised encoder, its own classifier.
    """
    from c2vl.evaluation.frozen_features import frozen_features, own_logits
    from c2vl.evaluation.protocol import evaluate
    from c2vl.training.devices import prepare
    from c2vl.training.methods import train

    prepare()
    device = machine.device()
    training, test = loaded(data, benchmark, "test", 0, params.objective.kinds, device)
    trained = train(method, *training, benchmark, stream, params, baselines)
    features = frozen_features(
        trained.network.encoder, training.clips, test, stream, params.view.frames
    )
    done = evaluate(
        features, training.classes, protocols, own_logits(trained.network, features), device
    )
    return Run.of(done.metrics(), done.correct(), people_of(data, test.samples))
