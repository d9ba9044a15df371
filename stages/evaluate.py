"""Stage `evaluate`: evaluate frozen encoders on the test splits, from features computed once.

Reads `data/index`, `data/embed/*`, `data/class_names`, `results/features/<benchmark>-<stream>`
(C²VL, all streams) and `results/baseline_features/<benchmark>/{infonce,random,supervised}` (joint
stream); no encoder, no skeleton. Writes `results/evaluate/`. Protocols and whose settings they are:
`docs/evaluation.md`.

Methods are `c2vl`, `infonce`, `random`, `supervised`, and with `pose.compare` `video` (C²VL on
skeletons from the videos); streams `joint`, `bone`, `motion`, and
`fusion` / `fusion_equal` (C²VL's three streams as `evaluate.fusion` says, and with equal weights).
All accuracies are shares in 0…1, of the *last* epoch.

- `metrics.json`, nested numbers:
  - `linear[benchmark][stream][method] = {top1, top5, mean_class, ece, best_on_test}`; fused streams
    lack `best_on_test` (the best epoch by test accuracy, beside the headline and never instead);
    `ece`: expected calibration error, 15 bins;
  - `knn[benchmark][stream][method] = {top1, mean_class}`;
  - `end_to_end[benchmark]["joint"]["supervised"] = {top1, top5, mean_class}`: the classifier
    trained with its encoder;
  - `zero_shot[benchmark][stream][method] = {top1, top5, mean_class, chance}`: c2vl and infonce,
    from class names alone; with `fusion` and `fusion_equal` of c2vl;
  - `retrieval[benchmark][stream][method] = {clips, sentences, sentence_to_skeleton,
    skeleton_to_sentence}`, the last two `{recall1, recall5, recall10, chance1, chance5, chance10,
    median_rank, same_class}`: test clips against the distinct ones of their middle sentences
    (`c2vl/evaluation/retrieval.py`);
  - `samples[benchmark] = {train, test, classes, chance}`;
  - `settings = {knn_neighbours, fusion}`, of section `evaluate`: what the page shows beside
    the numbers.
- `heads/<benchmark>-<stream>.{safetensors,json}`: C²VL's linear heads, for recognition elsewhere:
  `weight` (classes, D), `bias` (classes,), `mean` and `scale` (D,), float32; logits of encoder
  features x are `((x - mean) / scale) @ weight.T + bias`; the JSON has `classes` (names),
  `benchmark, stream, method, features, encoder` (folder of the checkpoint), `top1`.
- `per_class.csv`: `protocol, benchmark, stream, method, label, name, samples, accuracy`.
- `gains.csv`, C²VL against InfoNCE by class (linear, joint), largest gain first: `benchmark, label,
  name, samples, c2vl, infonce, gain`.
- `calibration.csv`, linear scores: `benchmark, stream, method, lower, upper, clips, confidence,
  accuracy`, a row a bin.
- `predictions.parquet`, one row a test sample and classifier: `sample, benchmark, protocol` (linear
  | knn | end_to_end | zero_shot), `method, stream, label, prediction` (int16, 0-based), `top5`
  (list<int16>, best first; KNN: the prediction alone), `probability` (float32 of the prediction;
  KNN: cosine of the nearest neighbour). Fig. 8's confusions are counted from it.
- `features.parquet`, test split, for t-SNE (Fig. 7): `sample, benchmark, method, stream, label`
  (int16), `feature` (list<float32>[D]).
- `similarity.parquet` (Fig. 4 and 5), test split, joint stream, methods c2vl and infonce: one row a
  pair of a skeleton and the mean prompt of a sample: `benchmark, method, knowledge` (vision |
  language), `sample, other` (whose prompt), `kind` (positive: other == sample | negative),
  `same_class` (bool), `similarity` (float32 cosine in the shared space). 16 seeded negatives a
  sample.

Elsewhere: `curves.csv` beside every encoder: `epoch` (from 1), `learning_rate, loss, alpha,
temperature, target_temperature, diagonal` (mean mass of the targets on the true pair), `entropy`
(of the targets' rows, nats), `accuracy` (training accuracy, supervised only), `probe` (KNN accuracy
on a held-out part of the training split); cells without a meaning are empty. Finetuning,
semi-supervised learning and transfer: `stages/protocols.py`. `results/compare/compare.json`:
`stages/compare.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2vl.core.errors import UserError, one_sentence
from c2vl.core.params import load_section, read_params
from c2vl.core.runlog import logged
from c2vl.models.streams import STREAMS

if TYPE_CHECKING:
    import numpy as np
    import torch

    from c2vl.evaluation.encoded import Encoded
    from c2vl.evaluation.evaluate_params import EvaluateParams
    from c2vl.evaluation.evaluation_tables import EvaluationTables

DATA, RESULTS = Path("data"), Path("results")
OUT = RESULTS / "evaluate"
BASELINES = ("infonce", "random", "supervised")


def evaluate_encoder(
    encoded: Encoded, params: EvaluateParams, found: EvaluationTables, device: torch.device
) -> dict[str, np.ndarray]:
    """Linear evaluation and KNN of one encoder, and results of its shared space.

    Returns logits (N, classes) of the test clips by protocol, for the fusion of streams.

    Without any prompt of a test clip (published answers may cover the training split alone) there
    is no retrieval.
    """
    from c2vl.evaluation.fusion import logits_of
    from c2vl.evaluation.head_files import save_head
    from c2vl.evaluation.pair_similarity import pair_similarities
    from c2vl.evaluation.protocol import evaluate
    from c2vl.evaluation.shared_space import class_name_features, retrieve, zero_shot_scores
    from c2vl.models.prompt_features import NoPromptsError
    from c2vl.models.read_prompts import read_prompts
    from c2vl.training.video_skeletons import METHOD

    key = (encoded.benchmark, encoded.stream, encoded.method)
    samples, features, labels = encoded.test_samples, encoded.features, encoded.features.test_labels
    result = evaluate(
        features, len(found.names), params, encoded.applied("classifier", features.test), device
    )
    metrics = result.metrics()
    for protocol, values in metrics.items():
        found.metric(protocol, *key, values)
    found.classified("linear", *key, samples, labels, result.linear.scores)
    if result.end_to_end is not None:
        found.classified("end_to_end", *key, samples, labels, result.end_to_end)
    found.predictions(
        "knn", *key, samples, labels, result.knn.predictions[:, None], result.knn.similarity
    )
    found.features(*key, samples, labels, features.test)
    logits = {"linear": result.linear.logits}
    if encoded.method in ("c2vl", "imported"):
        name = f"{encoded.benchmark}-{encoded.stream}"
        about: dict[str, Any] = dict(zip(("benchmark", "stream", "method"), key, strict=True))
        about |= {
            "classes": found.names,
            "encoder": f"results/pretrain/{name}",
            "top1": metrics["linear"]["top1"],
        }
        save_head(OUT / "heads", name, result.linear.head, about)
    if encoded.prompts:
        zero_shot = zero_shot_scores(
            encoded, class_name_features(DATA / "class_names", len(found.names))
        )
        if zero_shot is not None:
            found.classified("zero_shot", *key, samples, labels, zero_shot)
            logits["zero_shot"] = logits_of(zero_shot)
        try:
            prompts = read_prompts(DATA, samples, list(encoded.prompts), device)
        except NoPromptsError as error:
            print(f"evaluate {'-'.join(key)}: neither retrieval nor similarities: {error}")
            return logits
        found.metric("retrieval", *key, retrieve(encoded, prompts) or {})
        if encoded.stream == "joint" and encoded.method != METHOD:  # Fig. 4 and 5 are the paper's
            found.similarities(
                encoded.benchmark, encoded.method, pair_similarities(encoded, prompts, params.seed)
            )
    return logits


def evaluate_benchmark(
    benchmark: str, params: EvaluateParams, found: EvaluationTables, device: torch.device
) -> None:
    """Every encoder of one benchmark, and the fusion of C²VL's streams."""
    from c2vl.core.progress import progress
    from c2vl.evaluation.encoded import load_encoded
    from c2vl.evaluation.fusion import fuse_streams
    from c2vl.training.absent import absent
    from c2vl.training.video_skeletons import METHOD

    folders = [RESULTS / "features" / f"{benchmark}-{stream}" for stream in STREAMS]
    baselines = RESULTS / "baseline_features" / benchmark
    folders += [baselines / method for method in BASELINES]
    folders += [baselines / METHOD] if (baselines / METHOD).is_dir() else []
    folders = [folder for folder in folders if absent(folder) is None]
    streams: dict[str, dict[str, np.ndarray]] = {}
    for folder in progress(folders, f"evaluate {benchmark}", "encoders"):
        encoded = load_encoded(folder)
        logits = evaluate_encoder(encoded, params, found, device)
        if encoded.method == "c2vl":
            for protocol, values in logits.items():
                streams.setdefault(protocol, {})[encoded.stream] = values
        if encoded.method != METHOD:  # which may lack clips, or have more
            whole = encoded
    labels, samples = whole.features.test_labels, whole.test_samples
    classes = len(found.names)
    counts = {"train": len(whole.train_samples), "test": len(samples), "classes": classes}
    found.metrics["samples"][benchmark] = {**counts, "chance": 1 / classes}
    for protocol, by_stream in streams.items():
        fusion = params.fusion
        for name, fused in fuse_streams(by_stream, fusion.weights, fusion.scores).items():
            found.classified(protocol, benchmark, name, "c2vl", samples, labels, fused)


@one_sentence
def main() -> None:
    """Evaluate all encoders of the benchmarks in `data.benchmarks`."""
    benchmarks = (read_params().get("data") or {}).get("benchmarks")
    if not isinstance(benchmarks, list) or not benchmarks:
        raise UserError(
            "params.yaml: `data.benchmarks` must list at least one benchmark, such as [xsub]."
        )
    import torch

    from c2vl.core import machine
    from c2vl.core.tables.class_list import read_class_list
    from c2vl.evaluation.evaluate_params import EvaluateParams
    from c2vl.evaluation.evaluation_tables import EvaluationTables
    from c2vl.training.environment import threads

    params = load_section("evaluate", EvaluateParams)
    with logged("evaluate") as notes:
        torch.set_num_threads(threads())
        found, device = EvaluationTables(read_class_list(DATA)), machine.device()
        found.metrics["settings"] = {
            "knn_neighbours": params.knn_neighbours,
            "fusion": params.fusion.model_dump(),
        }
        for benchmark in benchmarks:
            evaluate_benchmark(benchmark, params, found, device)
        found.write(OUT)
        notes["benchmarks"] = benchmarks


if __name__ == "__main__":
    main()
