"""The tables of stage `evaluate` (schemas: top of `stages/evaluate.py`), gathered encoder by encoder."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from c2vl import tables
from c2vl.evaluation.metrics import best, per_class
from c2vl.files import write_bytes, write_json

KEY = [("benchmark", pa.string()), ("method", pa.string()), ("stream", pa.string())]
PREDICTIONS = pa.schema(
    [
        ("sample", pa.string()),
        *[KEY[0], ("protocol", pa.string()), KEY[1], KEY[2]],
        *[("label", pa.int16()), ("prediction", pa.int16()), ("top5", pa.list_(pa.int16())), ("probability", pa.float32())],
    ]
)
FEATURES = pa.schema([("sample", pa.string()), *KEY, ("label", pa.int16()), ("feature", pa.list_(pa.float32()))])
SIMILARITY = pa.schema(
    [
        *[KEY[0], KEY[1], ("knowledge", pa.string()), ("sample", pa.string()), ("other", pa.string())],
        *[("kind", pa.string()), ("same_class", pa.bool_()), ("similarity", pa.float32())],
    ]
)
PER_CLASS = ["protocol", "benchmark", "stream", "method", "label", "name", "samples", "accuracy"]


class Outs:
    """Collects metrics and rows; `write` puts them into a folder."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.metrics: dict[str, Any] = {"linear": {}, "knn": {}, "end_to_end": {}, "samples": {}}
        self._predictions: list[pa.Table] = []
        self._features: list[pa.Table] = []
        self._similarity: list[pa.Table] = []
        self._per_class: list[dict[str, Any]] = []

    def metric(self, protocol: str, benchmark: str, stream: str, method: str, values: dict[str, float]) -> None:
        """Note the accuracies of one classifier."""
        self.metrics[protocol].setdefault(benchmark, {}).setdefault(stream, {})[method] = values

    def predictions(
        self,
        protocol: str,
        benchmark: str,
        stream: str,
        method: str,
        samples: list[str],
        labels: np.ndarray,
        ranked: np.ndarray,
        probability: np.ndarray,
    ) -> None:
        """Add a classifier's answers: `ranked` (N, k) labels, best first; `probability` (N,) of the best."""
        key = {"benchmark": benchmark, "protocol": protocol, "method": method, "stream": stream}
        columns: dict[str, Any] = {name: [value] * len(samples) for name, value in key.items()}
        columns |= {"sample": samples, "label": labels, "prediction": ranked[:, 0], "top5": ranked.tolist()}
        columns["probability"] = probability.astype(np.float32)
        self._predictions.append(pa.table({name: columns[name] for name in PREDICTIONS.names}, schema=PREDICTIONS))
        for label, accuracy in per_class(labels, ranked[:, 0]).items():
            row = {**key, "label": label, "name": self.names[label], "samples": int((labels == label).sum())}
            self._per_class.append({**row, "accuracy": f"{accuracy:.6f}"})

    def scores(
        self,
        protocol: str,
        benchmark: str,
        stream: str,
        method: str,
        samples: list[str],
        labels: np.ndarray,
        scores: np.ndarray,
    ) -> None:
        """Add the answers of a classifier with softmax scores (N, classes)."""
        self.predictions(protocol, benchmark, stream, method, samples, labels, best(scores), scores.max(1))

    def features(
        self, benchmark: str, stream: str, method: str, samples: list[str], labels: np.ndarray, features: np.ndarray
    ) -> None:
        """Add the features (N, D) of a test split."""
        key = [pa.array([value] * len(samples)) for value in (benchmark, method, stream)]
        values = pa.array(list(features.astype(np.float32)), FEATURES.field("feature").type)
        self._features.append(pa.table([pa.array(samples), *key, pa.array(labels.astype(np.int16)), values], schema=FEATURES))

    def similarities(self, benchmark: str, method: str, rows: list[dict[str, object]]) -> None:
        """Add pairs from `pair_similarities`."""
        full = [{"benchmark": benchmark, "method": method, **row} for row in rows]
        self._similarity.append(pa.Table.from_pylist(full, schema=SIMILARITY))

    def write(self, folder: Path) -> None:
        """Publish `metrics.json`, `per_class.csv` and the three tables."""
        for name, schema, parts in (
            ("predictions", PREDICTIONS, self._predictions),
            ("features", FEATURES, self._features),
            ("similarity", SIMILARITY, self._similarity),
        ):
            tables.write(folder / f"{name}.parquet", pa.concat_tables([schema.empty_table(), *parts]))
        out = io.StringIO()
        writer = csv.DictWriter(out, PER_CLASS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._per_class)
        write_bytes(folder / "per_class.csv", out.getvalue().encode())
        write_json(folder / "metrics.json", self.metrics)
