"""The three protocols that train the encoder, each from a checkpoint to a folder (schemas: top of the stages' scripts)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from c2vl import tables
from c2vl.files import write_json
from c2vl.finetuning.labelled import draw_labelled
from c2vl.finetuning.outs import metrics_of, save_network, score_table, spread, write_curves, write_scores
from c2vl.finetuning.params import FinetuneParams, SemiParams, TransferParams
from c2vl.finetuning.starts import config_of, starts
from c2vl.finetuning.train import Epoch, finetune
from c2vl.progress import progress
from c2vl.training.clips import Clips

Curves = list[tuple[Mapping[str, Any], list[Epoch]]]


def finetune_all(
    checkpoint: Path, train: Clips, test: Clips, classes: int, params: FinetuneParams, out: Path
) -> dict[str, Any]:
    """Stage `finetune`: every start on all training labels; returns what the run log keeps."""
    config, view = config_of(checkpoint)
    rows = np.arange(len(train))
    metrics: dict[str, Any] = {}
    scores: list[pa.Table] = []
    curves: Curves = []
    name = f"finetune {config.benchmark}-{config.stream}"
    for start, encoder in progress(starts(checkpoint, params.starts, params.seed), name, "starts", len(params.starts)):
        done = finetune(encoder, train, rows, test, classes, config.stream, view, params, params.seed)
        metrics[start] = metrics_of(test.labels, done)
        scores.append(score_table({"start": start}, test.samples, test.labels, done.scores))
        curves.append(({"start": start}, done.curves))
        if start == "c2vl":
            save_network(out, done, config, classes, len(rows))
    write_scores(out, scores)
    write_curves(out, curves)
    write_json(out / "metrics.json", metrics)
    return {start: found["top1"] for start, found in metrics.items()}


def semi_all(checkpoint: Path, train: Clips, test: Clips, classes: int, params: SemiParams, out: Path) -> dict[str, Any]:
    """Stage `semi`: every start on every draw of every share of the labels."""
    config, view = config_of(checkpoint)
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    scores: list[pa.Table] = []
    curves: Curves = []
    chosen = {
        (fraction, draw): draw_labelled(train.samples, train.labels, fraction, draw, params.seed)
        for fraction in params.fractions
        for draw in range(params.draws)
    }
    name = f"semi {config.benchmark}-{config.stream}"
    for start, encoder in starts(checkpoint, params.starts, params.seed):
        for (fraction, draw), rows in progress(list(chosen.items()), f"{name} {start}", "draws"):
            done = finetune(encoder, train, rows, test, classes, config.stream, view, params, params.seed + draw)
            found.setdefault(start, {}).setdefault(f"{fraction:g}", []).append(metrics_of(test.labels, done))
            key = {"start": start, "fraction": fraction, "draw": draw}
            scores.append(score_table(key, test.samples, test.labels, done.scores))
            curves.append((key, done.curves))
    labelled = {f"{fraction:g}": len(rows) for (fraction, _), rows in chosen.items()}
    write_scores(out, scores)
    write_curves(out, curves)
    drawn = [
        {"fraction": fraction, "draw": draw, "sample": train.samples[row]}
        for (fraction, draw), rows in chosen.items()
        for row in rows
    ]
    tables.write(out / "draws.parquet", pa.Table.from_pylist(drawn))
    metrics = {
        start: {fraction: summarised(draws, labelled[fraction]) for fraction, draws in fractions.items()}
        for start, fractions in found.items()
    }
    write_json(out / "metrics.json", metrics)
    return {start: {f: values["top1"]["mean"] for f, values in by.items()} for start, by in metrics.items()}


def summarised(draws: list[dict[str, float]], labelled: int) -> dict[str, Any]:
    """Mean and deviation over the draws of each metric, and the number of labelled clips."""
    return {"labelled": labelled, **{name: spread([draw[name] for draw in draws]) for name in draws[0]}}


def transfer_all(
    pretrained: Path,
    train: Clips,
    test: Clips,
    classes: int,
    params: TransferParams,
    out: Path,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """Stage `transfer`: every stream's encoder and every start on all labels of another data set."""
    rows = np.arange(len(train))
    streams: dict[str, dict[str, Any]] = {}
    scores: list[pa.Table] = []
    curves: Curves = []
    for stream in params.streams:
        checkpoint = pretrained / f"{params.source}-{stream}"
        _, view = config_of(checkpoint)
        name = f"transfer {params.source}-{stream}"
        for start, encoder in progress(starts(checkpoint, params.starts, params.seed), name, "starts", len(params.starts)):
            done = finetune(encoder, train, rows, test, classes, stream, view, params, params.seed)
            streams.setdefault(stream, {})[start] = metrics_of(test.labels, done)
            key = {"stream": stream, "start": start}
            scores.append(score_table(key, test.samples, test.labels, done.scores))
            curves.append((key, done.curves))
    write_scores(out, scores)
    write_curves(out, curves)
    counts = {"train": len(train), "test": len(test), "classes": classes}
    write_json(out / "metrics.json", {**about, **counts, "streams": streams})
    return {stream: {start: found["top1"] for start, found in by.items()} for stream, by in streams.items()}
