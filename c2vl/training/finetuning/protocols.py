"""The three protocols that train the encoder, each from a checkpoint to a folder (schemas: top of the stages' scripts)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from c2vl.core import tables
from c2vl.core.files import write_json
from c2vl.models.clips import Clips
from c2vl.training.curves import Epoch
from c2vl.training.devices import Devices
from c2vl.training.finetuning.finetune import Finetuned, finetune, settings
from c2vl.training.finetuning.finetune_files import (
    metrics_of,
    save_network,
    score_table,
    write_curves,
    write_scores,
)
from c2vl.training.finetuning.finetune_params import (
    FinetuneParams,
    SemiParams,
    Start,
    TransferParams,
)
from c2vl.training.finetuning.labelled import draw_labelled
from c2vl.training.finetuning.starts import config_of, starts
from c2vl.training.keep import Keep, forget, training_key
from c2vl.training.metrics import spread
from c2vl.training.training_params import PretrainParams

Curves = list[tuple[Mapping[str, Any], list[Epoch]]]


def finetune_all(
    checkpoint: Path,
    train: Clips,
    test: Clips,
    classes: int,
    params: FinetuneParams,
    out: Path,
    states: Path,
) -> dict[str, Any]:
    """Stage `finetune`: every start on all training labels; returns what the run log keeps.

    The state of each training lies in `states` while it runs.
    """
    config, pretrain = config_of(checkpoint)
    rows, own = np.arange(len(train)), settings(pretrain, params, params.seed)
    found: dict[Start, Finetuned] = {}
    content = content_of(train)
    for start, encoder in starts(checkpoint, params.starts, params.seed):
        name = f"finetune {config.benchmark}-{config.stream} {start}"
        keep = kept(states / start, own, classes, encoder, content, rows)
        found[start] = finetune(encoder, train, rows, test, classes, config.stream, own, name, keep)
    metrics = {start: metrics_of(test.labels, done) for start, done in found.items()}
    if Devices(train.skeletons.device).main:
        parts = [
            score_table({"start": start}, test.samples, test.labels, done.scores)
            for start, done in found.items()
        ]
        write_scores(out, parts)
        write_curves(out, [({"start": start}, done.curves) for start, done in found.items()])
        if "c2vl" in found:
            save_network(out, found["c2vl"], config, classes, len(rows))
        write_json(out / "metrics.json", metrics)
        for start in found:
            forget(states / start)
    return {str(start): values["top1"] for start, values in metrics.items()}


def content_of(train: Clips) -> str:
    """Fingerprint of the clips and labels, taken once for all trainings on them."""
    return training_key(
        {}, [train.skeletons.joints.tensor, train.skeletons.lengths, torch.from_numpy(train.labels)]
    )


def kept(
    folder: Path,
    params: PretrainParams,
    classes: int,
    encoder: nn.Module,
    content: str,
    rows: np.ndarray,
) -> Keep:
    """Where a training's state lies, under a key of all it depends on; `content` of `content_of`, `rows` the labelled clips."""
    weights = [value for value in encoder.state_dict().values() if isinstance(value, torch.Tensor)]
    settings = {"params": params.model_dump(mode="json"), "classes": classes, "content": content}
    return Keep(folder, training_key(settings, [*weights, torch.from_numpy(rows)]))


def semi_all(
    checkpoint: Path,
    train: Clips,
    test: Clips,
    classes: int,
    params: SemiParams,
    out: Path,
    states: Path,
) -> dict[str, Any]:
    """Stage `semi`: every start on every draw of every share of the labels; returns what the run log keeps.

    The state of each training lies in `states` until all are published, so that a finished draw is not trained again.
    """
    config, pretrain = config_of(checkpoint)
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    scores: list[pa.Table] = []
    curves: Curves = []
    chosen = {
        (fraction, draw): draw_labelled(train.samples, train.labels, fraction, draw, params.seed)
        for fraction in params.fractions
        for draw in range(params.draws)
    }
    content = content_of(train)
    for start, encoder in starts(checkpoint, params.starts, params.seed):
        for (fraction, draw), rows in chosen.items():
            name = f"semi {config.benchmark}-{config.stream} {start} {fraction:g} draw {draw}"
            own = settings(pretrain, params, params.seed + draw)
            keep = kept(
                states / start / f"{fraction:g}-{draw}", own, classes, encoder, content, rows
            )
            done = finetune(encoder, train, rows, test, classes, config.stream, own, name, keep)
            found.setdefault(start, {}).setdefault(f"{fraction:g}", []).append(
                metrics_of(test.labels, done)
            )
            key = {"start": start, "fraction": fraction, "draw": draw}
            scores.append(score_table(key, test.samples, test.labels, done.scores))
            curves.append((key, done.curves))
    labelled = {f"{fraction:g}": len(rows) for (fraction, _), rows in chosen.items()}
    metrics = {
        start: {
            fraction: summarised(draws, labelled[fraction]) for fraction, draws in fractions.items()
        }
        for start, fractions in found.items()
    }
    if Devices(train.skeletons.device).main:
        write_scores(out, scores)
        write_curves(out, curves)
        drawn = [
            {"fraction": fraction, "draw": draw, "sample": train.samples[row]}
            for (fraction, draw), rows in chosen.items()
            for row in rows
        ]
        tables.write(out / "draws.parquet", pa.Table.from_pylist(drawn))
        write_json(out / "metrics.json", metrics)
        for start, (fraction, draw) in itertools.product(found, chosen):
            forget(states / start / f"{fraction:g}-{draw}")
    return {
        start: {f: values["top1"]["mean"] for f, values in by.items()}
        for start, by in metrics.items()
    }


def summarised(draws: list[dict[str, float]], labelled: int) -> dict[str, Any]:
    """Mean and deviation over the draws of each metric, and the number of labelled clips."""
    return {
        "labelled": labelled,
        **{name: spread([draw[name] for draw in draws]) for name in draws[0]},
    }


def transfer_all(
    pretrained: Path,
    train: Clips,
    test: Clips,
    classes: int,
    params: TransferParams,
    out: Path,
    about: Mapping[str, Any],
    states: Path,
) -> dict[str, Any]:
    """Stage `transfer`: every stream's encoder and every start on all labels of another data set.

    States are kept as by `semi_all`.
    """
    rows, content = np.arange(len(train)), content_of(train)
    streams: dict[str, dict[str, Any]] = {}
    scores: list[pa.Table] = []
    curves: Curves = []
    for stream in params.streams:
        checkpoint = pretrained / f"{params.source}-{stream}"
        own = settings(config_of(checkpoint)[1], params, params.seed)
        for start, encoder in starts(checkpoint, params.starts, params.seed):
            name = f"transfer {params.source}-{stream} {start}"
            keep = kept(states / stream / start, own, classes, encoder, content, rows)
            done = finetune(encoder, train, rows, test, classes, stream, own, name, keep)
            streams.setdefault(stream, {})[start] = metrics_of(test.labels, done)
            key = {"stream": stream, "start": start}
            scores.append(score_table(key, test.samples, test.labels, done.scores))
            curves.append((key, done.curves))
    if Devices(train.skeletons.device).main:
        write_scores(out, scores)
        write_curves(out, curves)
        counts = {"train": len(train), "test": len(test), "classes": classes}
        write_json(out / "metrics.json", {**about, **counts, "streams": streams})
        for stream, start in itertools.product(params.streams, params.starts):
            forget(states / stream / start)
    return {
        stream: {start: found["top1"] for start, found in by.items()}
        for stream, by in streams.items()
    }
