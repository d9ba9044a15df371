"""The tables of stage `evaluate`, encoder by encoder (schemas: top of `stages/evaluate.py`)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from c2vl.core import tables
from c2vl.core.files import write_bytes, write_json
from c2vl.evaluation.calibration import calibration_error, reliability
from c2vl.training.metrics import best, per_class, score_metrics

KEY = [("benchmark", pa.string()), ("method", pa.string()), ("stream", pa.string())]
PREDICTIONS = pa.schema(
    [
        ("sample", pa.string()),
        *[KEY[0], ("protocol", pa.string()), KEY[1], KEY[2]],
        *[
            ("label", pa.int16()),
            ("prediction", pa.int16()),
            ("top5", pa.list_(pa.int16())),
            ("probability", pa.float32()),
        ],
    ]
)
FEATURES = pa.schema(
    [("sample", pa.string()), *KEY, ("label", pa.int16()), ("feature", pa.list_(pa.float32()))]
)
SIMILARITY = pa.schema(
    [
        *[
            KEY[0],
            KEY[1],
            ("knowledge", pa.string()),
            ("sample", pa.string()),
            ("other", pa.string()),
        ],
        *[("kind", pa.string()), ("same_class", pa.bool_()), ("similarity", pa.float32())],
    ]
)
PER_CLASS = ["protocol", "benchmark", "stream", "method", "label", "name", "samples", "accuracy"]
GAINS = ["benchmark", "label", "name", "samples", "c2vl", "infonce", "gain"]
CALIBRATION = ["benchmark", "stream", "method", "lower", "upper", "clips", "confidence", "accuracy"]
PROTOCOLS = ("linear", "knn", "end_to_end", "zero_shot", "retrieval")


class EvaluationTables:
    """Collects metrics and rows; `write` puts them into a folder."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.metrics: dict[str, Any] = {**{protocol: {} for protocol in PROTOCOLS}, "samples": {}}
        self._predictions: list[pa.Table] = []
        self._features: list[pa.Table] = []
        self._similarity: list[pa.Table] = []
        self._per_class: list[dict[str, Any]] = []
        self._calibration: list[dict[str, Any]] = []

    def metric(
        self, protocol: str, benchmark: str, stream: str, method: str, values: Mapping[str, Any]
    ) -> None:
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
        """Add a classifier's answers.

        Args:
            ranked: (N, k) labels, best first.
            probability: (N,) of the best.
        """
        key = {"benchmark": benchmark, "protocol": protocol, "method": method, "stream": stream}
        columns: dict[str, Any] = {name: [value] * len(samples) for name, value in key.items()}
        columns |= {
            "sample": samples,
            "label": labels,
            "prediction": ranked[:, 0],
            "top5": ranked.tolist(),
        }
        columns["probability"] = probability.astype(np.float32)
        self._predictions.append(
            pa.table({name: columns[name] for name in PREDICTIONS.names}, schema=PREDICTIONS)
        )
        for label, accuracy in per_class(labels, ranked[:, 0]).items():
            row = {
                **key,
                "label": label,
                "name": self.names[label],
                "samples": int((labels == label).sum()),
            }
            self._per_class.append({**row, "accuracy": f"{accuracy:.6f}"})

    def classified(
        self,
        protocol: str,
        benchmark: str,
        stream: str,
        method: str,
        samples: list[str],
        labels: np.ndarray,
        scores: np.ndarray,
    ) -> None:
        """Add a classifier with softmax scores (N, classes): accuracies, answers, calibration."""
        values: dict[str, float] = {**score_metrics(labels, scores)}
        if protocol == "linear":
            bins = reliability(labels, scores)
            values["ece"] = calibration_error(bins)
            key = {"benchmark": benchmark, "stream": stream, "method": method}
            self._calibration += [{**key, **_rounded(asdict(one))} for one in bins]
        if protocol == "zero_shot":
            values["chance"] = 1 / len(self.names)
        known = self.metrics[protocol].get(benchmark, {}).get(stream, {}).get(method, {})
        self.metric(protocol, benchmark, stream, method, {**known, **values})
        self.predictions(
            protocol, benchmark, stream, method, samples, labels, best(scores), scores.max(1)
        )

    def gains(self) -> list[dict[str, Any]]:
        """Accuracy by class of C²VL and InfoNCE (linear, joint), largest difference first."""
        found: dict[tuple[str, int], dict[str, Any]] = {}
        for row in self._per_class:
            if (row["protocol"], row["stream"]) == ("linear", "joint") and row["method"] in (
                "c2vl",
                "infonce",
            ):
                entry = found.setdefault(
                    (row["benchmark"], row["label"]),
                    {name: row[name] for name in ("benchmark", "label", "name", "samples")},
                )
                entry[row["method"]] = float(row["accuracy"])
        both = [row for row in found.values() if {"c2vl", "infonce"} <= row.keys()]
        rows = [{**row, "gain": row["c2vl"] - row["infonce"]} for row in both]
        return sorted(
            map(_rounded, rows),
            key=lambda row: (row["benchmark"], -float(row["gain"]), row["label"]),
        )

    def features(
        self,
        benchmark: str,
        stream: str,
        method: str,
        samples: list[str],
        labels: np.ndarray,
        features: np.ndarray,
    ) -> None:
        """Add the features (N, D) of a test split."""
        key = [pa.array([value] * len(samples)) for value in (benchmark, method, stream)]
        values = pa.array(list(features.astype(np.float32)), FEATURES.field("feature").type)
        self._features.append(
            pa.table(
                [pa.array(samples), *key, pa.array(labels.astype(np.int16)), values],
                schema=FEATURES,
            )
        )

    def similarities(self, benchmark: str, method: str, pairs: pa.Table | None) -> None:
        """Add the pairs of `pair_similarities`."""
        if pairs is not None:
            key = {"benchmark": [benchmark] * len(pairs), "method": [method] * len(pairs)}
            columns = {**key, **dict(zip(pairs.column_names, pairs.columns, strict=True))}
            self._similarity.append(
                pa.table({name: columns[name] for name in SIMILARITY.names}, schema=SIMILARITY)
            )

    def write(self, folder: Path) -> None:
        """Publish `metrics.json`, the three tables and the three CSV files."""
        for name, schema, parts in (
            ("predictions", PREDICTIONS, self._predictions),
            ("features", FEATURES, self._features),
            ("similarity", SIMILARITY, self._similarity),
        ):
            tables.write(
                folder / f"{name}.parquet", pa.concat_tables([schema.empty_table(), *parts])
            )
        for name, columns, rows in (
            ("per_class", PER_CLASS, self._per_class),
            ("gains", GAINS, self.gains()),
            ("calibration", CALIBRATION, self._calibration),
        ):
            write_bytes(folder / f"{name}.csv", _csv(columns, rows))
        write_json(folder / "metrics.json", self.metrics)


def _csv(columns: list[str], rows: list[dict[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: f"{value:.6f}" if isinstance(value, float) else value for name, value in row.items()
    }
