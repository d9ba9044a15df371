"""Gather the results of the finetuning stages, and fuse the streams where all three are there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.files import read_json
from c2vl.evaluation.evaluate_params import FusionParams
from c2vl.evaluation.fusion import fuse_streams, logits_of
from c2vl.models.streams import STREAMS
from c2vl.training.finetuning.finetune_files import SCORES, read_scores
from c2vl.training.metrics import score_metrics, summarised

Nested = dict[str, Any]
METRICS = "metrics.json"
Cells = Collection[tuple[str, str]]  # benchmark, stream


def gather_full(folder: Path, cells: Cells, fusion: FusionParams) -> Nested:
    """`[benchmark][stream][start]` of `results/finetune/full`, with the fused streams.

    Only `cells` count: DVC keeps the outputs of a cell that params.yaml no longer names.
    """
    return {
        benchmark: {stream: read_json(path / METRICS) for stream, path in there.items()}
        | _fused({stream: tables.read(path / SCORES) for stream, path in there.items()}, fusion)
        for benchmark, there in _cells(folder, cells).items()
    }


def gather_semi(folder: Path, cells: Cells, fusion: FusionParams) -> Nested:
    """`[benchmark][stream][start][fraction]` of `cells` in `results/finetune/semi`.

    Streams are fused draw by draw.
    """
    found: Nested = {}
    for benchmark, there in _cells(folder, cells).items():
        found[benchmark] = {stream: read_json(path / METRICS) for stream, path in there.items()}
        if len(there) < len(STREAMS):
            continue
        parts = {stream: tables.read(path / SCORES) for stream, path in there.items()}
        for fraction in _distinct(parts, "fraction"):
            draws: dict[str, dict[str, list[dict[str, float]]]] = {}
            at = {
                stream: part.filter(pc.equal(part["fraction"], fraction))
                for stream, part in parts.items()
            }
            for draw in _distinct(at, "draw"):
                one = {
                    stream: part.filter(pc.equal(part["draw"], draw)) for stream, part in at.items()
                }
                for name, by_start in _fused(one, fusion).items():
                    for start, values in by_start.items():
                        draws.setdefault(name, {}).setdefault(start, []).append(values)
            for name, of_start in draws.items():
                for start, every in of_start.items():
                    labelled = found[benchmark][STREAMS[0]][start][f"{fraction:g}"]["labelled"]
                    entry = found[benchmark].setdefault(name, {}).setdefault(start, {})
                    entry[f"{fraction:g}"] = summarised(every, labelled)
    return found


def gather_transfer(folder: Path, targets: Collection[str], fusion: FusionParams) -> Nested:
    """`[target]` of `targets` in `results/finetune/transfer`, with the fused streams."""
    found: Nested = {}
    for path in (
        path for path in sorted(folder.glob("*/metrics.json")) if path.parent.name in targets
    ):
        about = read_json(path)
        table = tables.read(path.parent / SCORES)
        parts = {
            stream: table.filter(pc.equal(table["stream"], stream)) for stream in about["streams"]
        }
        found[path.parent.name] = {**about, "streams": about["streams"] | _fused(parts, fusion)}
    return found


def _cells(folder: Path, wanted: Cells) -> dict[str, dict[str, Path]]:
    """The cells of a matrix that are wanted and there, by benchmark and stream."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.glob("*/metrics.json")):
        benchmark, _, stream = path.parent.name.rpartition("-")
        if (benchmark, stream) in wanted:
            found.setdefault(benchmark, {})[stream] = path.parent
    return {
        benchmark: {s: cells[s] for s in STREAMS if s in cells}
        for benchmark, cells in found.items()
    }


def _fused(
    parts: Mapping[str, pa.Table], fusion: FusionParams
) -> dict[str, dict[str, dict[str, float]]]:
    """`[fusion | fusion_equal][start]` of the streams' scores; empty unless all three are there."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    if len(parts) < len(STREAMS):
        return found
    for start in sorted(
        set.intersection(*(set(part["start"].to_pylist()) for part in parts.values()))
    ):
        scores: dict[str, np.ndarray] = {}
        first: list[str] | None = None
        for stream, part in parts.items():
            samples, labels, scores[stream] = read_scores(
                part.filter(pc.equal(part["start"], start))
            )
            if first is not None and samples != first:
                raise UserError(
                    "The streams were finetuned on different test clips; "
                    "run `dvc repro finetune semi transfer`."
                )
            first = samples
        logits = {stream: logits_of(values) for stream, values in scores.items()}
        for name, values in fuse_streams(logits, fusion.weights, fusion.scores).items():
            found.setdefault(name, {})[start] = score_metrics(labels, values)
    return found


def _distinct(parts: Mapping[str, pa.Table], column: str) -> Iterator[Any]:
    """Values of a column that all parts have, sorted."""
    yield from sorted(set.intersection(*(set(part[column].to_pylist()) for part in parts.values())))
