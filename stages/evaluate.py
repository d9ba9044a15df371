"""Stage `evaluate`: frozen encoders on the test splits: linear evaluation, KNN, fusion, and what the figures need.

Reads `data/index`, `data/skeleton`, `data/embed/*`, `results/pretrain/<benchmark>-<stream>` (C²VL, all streams) and
`results/baselines/<benchmark>/{infonce,random,supervised}` (joint stream). Writes `results/evaluate/`:

Methods are `c2vl`, `infonce`, `random`, `supervised`; streams `joint`, `bone`, `motion`, and `fusion` / `fusion_equal`
(C²VL's three streams, weights 0.6/0.6/0.4 or equal). All accuracies are shares in 0…1, of the *last* epoch.

- `metrics.json`, nested numbers:
  - `linear[benchmark][stream][method] = {top1, top5, mean_class, best_on_test}`; for the fused streams `{top1, top5, mean_class}`;
  - `knn[benchmark][stream][method] = {top1, mean_class}`;
  - `end_to_end[benchmark]["joint"]["supervised"] = {top1, top5, mean_class}`: the classifier trained with its encoder;
  - `samples[benchmark] = {train, test, classes, chance}`.
- `per_class.csv`: `protocol, benchmark, stream, method, label, name, samples, accuracy`.
- `predictions.parquet`, one row a test sample and classifier: `sample, benchmark, protocol` (linear | knn | end_to_end),
  `method, stream, label, prediction` (int16, 0-based), `top5` (list<int16>, best first; KNN: the prediction alone),
  `probability` (float32 of the prediction; KNN: cosine of the nearest neighbour).
- `features.parquet`, test split, for t-SNE: `sample, benchmark, method, stream, label` (int16), `feature` (list<float32>[D]).
- `similarity.parquet`, test split, joint stream, methods c2vl and infonce: one row a pair of a skeleton and the mean prompt of a
  sample: `benchmark, method, knowledge` (vision | language), `sample, other` (whose prompt), `kind` (positive: other == sample |
  negative), `same_class` (bool), `similarity` (float32 cosine in the shared space). 16 seeded negatives a sample.

Elsewhere: `curves.csv` beside every encoder: `epoch` (from 1), `learning_rate, loss, alpha, temperature, target_temperature,
diagonal` (mean mass of the targets on the true pair), `entropy` (of the targets' rows, nats), `accuracy` (training accuracy,
supervised only), `probe` (KNN accuracy on a held-out part of the training split); cells without a meaning are empty.
`results/compare/compare.json`: see `stages/compare.py`.
"""
