"""The outputs of finetuning: metrics, scores of the test split, curves, the network."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from c2vl.core import tables
from c2vl.core.files import write_bytes
from c2vl.training.checkpoint import EncoderConfig, save_checkpoint
from c2vl.training.curves import Epoch
from c2vl.training.finetuning.finetune import Finetuned
from c2vl.training.metrics import score_metrics

SCORES, CURVES = "scores.parquet", "finetune.csv"


def metrics_of(labels: np.ndarray, finetuned: Finetuned) -> dict[str, float]:
    """Top 1, top 5 and mean class accuracy after the last epoch, and the best look at the test."""
    return {**score_metrics(labels, finetuned.scores), "best_on_test": finetuned.best_on_test}


def score_table(
    key: Mapping[str, str | float | int],
    samples: Sequence[str],
    labels: np.ndarray,
    scores: np.ndarray,
) -> pa.Table:
    """Scores (N, classes) as rows `<key>, sample, label` (int16), `scores` (float32[classes])."""
    count = len(scores)
    columns: dict[str, Any] = {name: pa.array([value] * count) for name, value in key.items()}
    columns["sample"] = pa.array(list(samples), pa.string())
    columns["label"] = pa.array(labels.astype(np.int16))
    columns["scores"] = tables.vector_column(scores.astype(np.float32))
    return pa.table(columns)


def write_scores(folder: Path, parts: Sequence[pa.Table]) -> None:
    """Publish `scores.parquet`."""
    tables.write(folder / SCORES, pa.concat_tables(parts))


def read_scores(table: pa.Table) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Samples, labels (N,), scores (N, classes) of rows of `scores.parquet`, sorted by sample."""
    table = table.sort_by("sample")
    return (
        table["sample"].to_pylist(),
        table["label"].to_numpy().astype(np.int64),
        tables.vectors(table["scores"]),
    )


def write_curves(folder: Path, rows: Iterable[tuple[Mapping[str, Any], Sequence[Epoch]]]) -> None:
    """Publish `finetune.csv`: the key, then `epoch, learning_rate, loss, accuracy, test`."""
    flat = [
        {
            **key,
            "epoch": row.epoch,
            "learning_rate": f"{row.learning_rate:.7g}",
            "loss": f"{row.loss:.7g}",
            "accuracy": f"{row.accuracy:.7g}",
            "test": "" if row.probe is None else f"{row.probe:.7g}",
        }
        for key, curves in rows
        for row in curves
    ]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    write_bytes(folder / CURVES, out.getvalue().encode())


def save_network(
    folder: Path, finetuned: Finetuned, config: EncoderConfig, classes: int, labelled: int
) -> None:
    """Write encoder and classifier as a checkpoint that `load_checkpoint` reads."""
    assert finetuned.network is not None
    update: dict[str, Any] = {
        "prompts": {},
        "dimension": None,
        "classes": classes,
        "clips": labelled,
        "left_out": 0,
    }
    save_checkpoint(folder, finetuned.network, config.model_copy(update=update), [])
