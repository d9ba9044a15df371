"""The three protocols that train the encoder, each from a checkpoint to an output folder.

The tables' columns are at the top of the stages' scripts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from c2vl.core import tables
from c2vl.core.files import write_json
from c2vl.models.clips import Clips
from c2vl.training.checkpoint import WEIGHTS
from c2vl.training.curves import Epoch
from c2vl.training.devices import Devices
from c2vl.training.finetuning.finetune import Finetuned
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
from c2vl.training.finetuning.trainings import Trainings, Where, params_of_run
from c2vl.training.metrics import summarised
from c2vl.training.reuse import Reuse

Done = Sequence[tuple[Where, Finetuned]]


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
    config, pretrain = config_of(checkpoint, train.skeletons.layout)
    rows, own = np.arange(len(train)), params_of_run(pretrain, params, params.seed)
    devices = Devices(train.skeletons.device)
    trainings = Trainings(train, test, classes, states, Reuse(out, devices))
    title = f"finetune {config.benchmark}-{config.stream}"
    found: dict[Start, Finetuned] = {}
    for start, encoder in starts(checkpoint, params.starts, params.seed):
        where, saved = {"start": start}, start == "c2vl"
        name = f"{title} {start}"
        found[start] = trainings.run(name, where, config.stream, encoder, rows, own, saved)
    metrics = {start: metrics_of(test.labels, done) for start, done in found.items()}
    if devices.main:
        _write_tables(out, test, [({"start": start}, done) for start, done in found.items()])
        if "c2vl" in found:
            save_network(out, found["c2vl"], config, classes, len(rows))
        write_json(out / "metrics.json", metrics)
        trainings.publish(title)
    return {str(start): values["top1"] for start, values in metrics.items()}


def semi_all(
    checkpoint: Path,
    train: Clips,
    test: Clips,
    classes: int,
    params: SemiParams,
    out: Path,
    states: Path,
) -> dict[str, Any]:
    """Stage `semi`: every start on every draw of every share of the labels.

    Every training has a key of its own: a new share or draw trains only what is new. Returns what
    the run log keeps.
    """
    config, pretrain = config_of(checkpoint, train.skeletons.layout)
    devices = Devices(train.skeletons.device)
    trainings = Trainings(train, test, classes, states, Reuse(out, devices))
    title = f"semi {config.benchmark}-{config.stream}"
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    runs: list[tuple[Where, Finetuned]] = []
    chosen = {
        (fraction, draw): draw_labelled(train.samples, train.labels, fraction, draw, params.seed)
        for fraction in params.fractions
        for draw in range(params.draws)
    }
    for start, encoder in starts(checkpoint, params.starts, params.seed):
        for (fraction, draw), rows in chosen.items():
            own = params_of_run(pretrain, params, params.seed + draw)
            where: Where = {"start": start, "fraction": fraction, "draw": draw}
            name = f"{title} {start} {fraction:g} draw {draw}"
            done = trainings.run(name, where, config.stream, encoder, rows, own)
            by = found.setdefault(start, {}).setdefault(f"{fraction:g}", [])
            by.append(metrics_of(test.labels, done))
            runs.append((where, done.without_network()))
    labelled = {f"{fraction:g}": len(rows) for (fraction, _), rows in chosen.items()}
    metrics = {
        start: {
            fraction: summarised(draws, labelled[fraction]) for fraction, draws in fractions.items()
        }
        for start, fractions in found.items()
    }
    if devices.main:
        _write_tables(out, test, runs)
        drawn = [
            {"fraction": fraction, "draw": draw, "sample": train.samples[row]}
            for (fraction, draw), rows in chosen.items()
            for row in rows
        ]
        tables.write(out / "draws.parquet", pa.Table.from_pylist(drawn))
        write_json(out / "metrics.json", metrics)
        trainings.publish(title)
    return {
        start: {f: values["top1"]["mean"] for f, values in by.items()}
        for start, by in metrics.items()
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
    devices, rows = Devices(train.skeletons.device), np.arange(len(train))
    trainings = Trainings(train, test, classes, states, Reuse(out, devices))
    streams: dict[str, dict[str, Any]] = {}
    runs: list[tuple[Where, Finetuned]] = []
    for stream in params.streams:
        checkpoint = pretrained / f"{params.source}-{stream}"
        config, pretrain = config_of(checkpoint, train.skeletons.layout)
        config = config.model_copy(update={"benchmark": about["benchmark"]})
        own = params_of_run(pretrain, params, params.seed)
        for start, encoder in starts(checkpoint, params.starts, params.seed):
            where: Where = {"stream": stream, "start": start}
            name, saved = f"transfer {out.name} {params.source}-{stream} {start}", start == "c2vl"
            done = trainings.run(
                name, where, stream, encoder, rows, own, saved, f"{stream}/{WEIGHTS}"
            )
            if saved and devices.main:
                save_network(out / stream, done, config, classes, len(rows))
            streams.setdefault(stream, {})[start] = metrics_of(test.labels, done)
            runs.append((where, done.without_network()))
    if devices.main:
        _write_tables(out, test, runs)
        counts = {"train": len(train), "test": len(test), "classes": classes}
        write_json(out / "metrics.json", {**about, **counts, "streams": streams})
        trainings.publish(f"transfer {out.name}")
    return {
        stream: {start: found["top1"] for start, found in by.items()}
        for stream, by in streams.items()
    }


def _write_tables(out: Path, test: Clips, runs: Done) -> None:
    """Scores of the test split and curves of every training."""
    write_scores(
        out, [score_table(where, test.samples, test.labels, done.scores) for where, done in runs]
    )
    curves: list[tuple[Where, list[Epoch]]] = [(where, done.curves) for where, done in runs]
    write_curves(out, curves)
