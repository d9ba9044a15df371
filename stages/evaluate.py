"""Stage `evaluate`: frozen encoders on the test splits: linear evaluation, KNN, fusion, and what the figures need.

Reads `data/index`, `data/skeleton`, `data/embed/*`, `results/pretrain/<benchmark>-<stream>` (C²VL, all streams) and
`results/baselines/<benchmark>/{infonce,random,supervised}` (joint stream). Writes `results/evaluate/`:

Methods are `c2vl`, `infonce`, `random`, `supervised`; streams `joint`, `bone`, `motion`, and `fusion` / `fusion_equal`
(C²VL's three streams, weights 0.6/0.6/0.4 or equal). All accuracies are shares in 0…1, of the *last* epoch.

- `metrics.json`, nested numbers:
  - `linear[benchmark][stream][method] = {top1, top5, mean_class, best_on_test}`; fused streams lack `best_on_test`;
  - `knn[benchmark][stream][method] = {top1, mean_class}`;
  - `end_to_end[benchmark]["joint"]["supervised"] = {top1, top5, mean_class}`: the classifier trained with its encoder;
  - `samples[benchmark] = {train, test, classes, chance}`.
- `per_class.csv`: `protocol, benchmark, stream, method, label, name, samples, accuracy`.
- `predictions.parquet`, one row a test sample and classifier: `sample, benchmark, protocol` (linear | knn | end_to_end),
  `method, stream, label, prediction` (int16, 0-based), `top5` (list<int16>, best first; KNN: the prediction alone),
  `probability` (float32 of the prediction; KNN: cosine of the nearest neighbour).
- `features.parquet`, test split, for t-SNE: `sample, benchmark, method, stream, label` (int16), `feature` (list<float32>[D]).
- `similarity.parquet`, test split, joint stream, methods c2vl and infonce: one row a pair of a skeleton and the mean
  prompt of a sample: `benchmark, method, knowledge` (vision | language), `sample, other` (whose prompt), `kind` (positive:
  other == sample | negative), `same_class` (bool), `similarity` (float32 cosine in the shared space). 16 seeded negatives
  a sample.

Elsewhere: `curves.csv` beside every encoder: `epoch` (from 1), `learning_rate, loss, alpha, temperature, target_temperature,
diagonal` (mean mass of the targets on the true pair), `entropy` (of the targets' rows, nats), `accuracy` (training accuracy,
supervised only), `probe` (KNN accuracy on a held-out part of the training split); cells without a meaning are empty.
`results/compare/compare.json`: see `stages/compare.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from c2vl.errors import UserError, one_sentence
from c2vl.params import load_section, read_params
from c2vl.runlog import logged

if TYPE_CHECKING:
    import numpy as np
    import torch

    from c2vl.evaluation.outs import Outs
    from c2vl.evaluation.params import EvaluateParams

DATA, RESULTS = Path("data"), Path("results")
BASELINES = ("infonce", "random", "supervised")


def evaluate_benchmark(benchmark: str, params: EvaluateParams, outs: Outs, device: torch.device) -> None:
    """Every encoder of one benchmark through every protocol."""
    from c2vl.evaluation.fusion import fuse
    from c2vl.evaluation.protocol import evaluate, score_metrics
    from c2vl.evaluation.similarity import pair_similarities
    from c2vl.objective.embeddings import AlignedEncoder
    from c2vl.progress import progress
    from c2vl.skeletons.streams import STREAMS
    from c2vl.training.checkpoint import load_checkpoint
    from c2vl.training.clips import load_clips
    from c2vl.training.prompts import load_prompts

    train, test = (load_clips(DATA, benchmark, split, device) for split in ("train", "test"))
    classes, labels = len(outs.names), test.labels
    counts = {"train": len(train), "test": len(test), "classes": classes}
    outs.metrics["samples"][benchmark] = {**counts, "chance": 1 / classes}
    streams: dict[str, np.ndarray] = {}
    folders = [RESULTS / "pretrain" / f"{benchmark}-{stream}" for stream in STREAMS]
    folders += [RESULTS / "baselines" / benchmark / method for method in BASELINES]
    for folder in progress(folders, f"evaluate {benchmark}", "encoders"):
        checkpoint = load_checkpoint(folder)
        network, config = checkpoint.network, checkpoint.config
        method, stream = config.method, config.stream
        result = evaluate(network, train, test, stream, config.frames, classes, params)
        for protocol, values in result.metrics().items():
            outs.metric(protocol, benchmark, stream, method, values)
        outs.scores("linear", benchmark, stream, method, test.samples, labels, result.linear.scores)
        if result.end_to_end is not None:
            outs.scores("end_to_end", benchmark, stream, method, test.samples, labels, result.end_to_end)
        nearest = result.knn.predictions[:, None]
        outs.predictions("knn", benchmark, stream, method, test.samples, labels, nearest, result.knn.similarity)
        outs.features(benchmark, stream, method, test.samples, labels, result.features.test)
        if method == "c2vl":
            streams[stream] = result.linear.scores
        if stream == "joint" and isinstance(network, AlignedEncoder):
            prompts = load_prompts(DATA, test.samples, list(config.prompts), device)
            pairs = pair_similarities(network, result.features.test, prompts, labels, test.samples, params.seed)
            outs.similarities(benchmark, method, pairs)
    equal = dict.fromkeys(streams, 1.0)
    fusions: dict[str, dict[str, float]] = {"fusion": params.fusion.model_dump(), "fusion_equal": equal}
    for name, weights in fusions.items():
        scores = fuse(streams, weights)
        outs.metric("linear", benchmark, name, "c2vl", score_metrics(labels, scores))
        outs.scores("linear", benchmark, name, "c2vl", test.samples, labels, scores)


@one_sentence
def main() -> None:
    """Evaluate all encoders of the benchmarks in `data.benchmarks`."""
    benchmarks = (read_params().get("data") or {}).get("benchmarks")
    if not isinstance(benchmarks, list) or not benchmarks:
        raise UserError("params.yaml: `data.benchmarks` must list at least one benchmark, such as [xsub].")
    from c2vl.evaluation.outs import Outs
    from c2vl.evaluation.params import EvaluateParams
    from c2vl.training.clips import class_names
    from c2vl.training.stage import prepare

    params = load_section("evaluate", EvaluateParams)
    with logged("evaluate") as notes:
        outs, device = Outs(class_names(DATA)), prepare()
        for benchmark in benchmarks:
            evaluate_benchmark(benchmark, params, outs, device)
        outs.write(RESULTS / "evaluate")
        notes["benchmarks"] = benchmarks


if __name__ == "__main__":
    main()
