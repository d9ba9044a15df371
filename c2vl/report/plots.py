"""Makes all figures of the report from the outputs that exist."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from c2vl.core import tables
from c2vl.models.streams import STREAMS
from c2vl.report.dataset_tables import TESTED_ON
from c2vl.report.extra_tables import reliability_plot
from c2vl.report.figures.confusion import confusion, counts
from c2vl.report.figures.similarity import similarity
from c2vl.report.figures.training_curves import curves
from c2vl.report.figures.tsne import tsne
from c2vl.report.figures.versus import per_class, versus
from c2vl.report.method_tables import versus_lines
from c2vl.report.pipeline_outputs import PipelineOutputs, lookup
from c2vl.report.report_params import ReportParams
from c2vl.report.style import METHOD_NAMES, Plot

TSNE_METHODS = ("random", "infonce", "c2vl")
MATRIX_METHODS = ("infonce", "c2vl")
SCRATCH, PRETRAINED = "scratch", "c2vl"
STARTS = {SCRATCH: "from scratch", PRETRAINED: "pretrained"}
WITH_NUMBERS = 12  # classes up to which percentages stand in the cells


def method_comparison(outputs: PipelineOutputs, stacked: bool = False) -> Plot | None:
    """Compare the methods as bars, from no training to training with every label.

    Args:
        outputs: of the pipeline.
        stacked: benchmarks below each other, for a narrow screen.
    """
    chance = {
        benchmark: lookup(outputs.metrics, "samples", benchmark, "chance")
        for benchmark in outputs.benchmarks
    }
    lines = {benchmark: versus_lines(outputs, benchmark) for benchmark in outputs.benchmarks}
    titles = {
        name: f"{name}: tested on {TESTED_ON[name]}" if name in TESTED_ON else name
        for name in lines
    }
    return versus(
        lines,
        {benchmark: value for benchmark, value in chance.items() if value is not None},
        titles,
        stacked,
    )


def benchmark_plots(
    outputs: PipelineOutputs, benchmark: str, params: ReportParams
) -> dict[str, list[Plot]]:
    """The figures of one benchmark that have data, by part: `training`, `paper`, `beyond`."""
    of = {
        "training": [curves(outputs.curves(benchmark), benchmark)],
        "paper": [
            _similarity(outputs, benchmark),
            _tsne(outputs, benchmark, params),
            _matrices(outputs, benchmark),
        ],
        "beyond": [
            _gains(outputs, benchmark),
            _finetuned(outputs, benchmark),
            reliability_plot(outputs, benchmark),
        ],
    }
    return {part: [plot for plot in plots if plot is not None] for part, plots in of.items()}


def _gains(outputs: PipelineOutputs, benchmark: str) -> Plot | None:
    lines = [
        row
        for row in outputs.rows("results/evaluate/per_class.csv")
        if (row["protocol"], row["benchmark"], row["stream"]) == ("linear", benchmark, "joint")
    ]
    by = {
        method: {int(row["label"]): row for row in lines if row["method"] == method}
        for method in MATRIX_METHODS
    }
    labels = sorted(by["infonce"].keys() & by["c2vl"].keys())
    before, after = (
        [float(by[method][label]["accuracy"]) for label in labels] for method in MATRIX_METHODS
    )
    return per_class([by["c2vl"][label]["name"] for label in labels], before, after, benchmark)


def _matrices(outputs: PipelineOutputs, benchmark: str) -> Plot | None:
    columns = ["benchmark", "protocol", "method", "stream", "label", "prediction"]
    table = outputs.table(
        "results/evaluate/predictions.parquet", "The table of predictions", columns
    )
    if table is None:
        return None
    of = _where(table, benchmark=benchmark, protocol="linear", stream="joint")
    matrices = []
    for method in MATRIX_METHODS:
        rows = _where(of, method=method)
        if rows.num_rows:
            found = counts(
                rows.column("label").to_pylist(),
                rows.column("prediction").to_pylist(),
                len(outputs.classes),
            )
            matrices.append((METHOD_NAMES[method], found))
    return confusion(
        matrices,
        outputs.classes,
        outputs.classes,
        f"figure-8-confusion-{benchmark}",
        f"Figure 8: confusion matrices, {benchmark}",
        "Linear evaluation of the joint stream on test clips. Each row adds up to 100 %; a perfect "
        "result is a bright diagonal. The paper shows encoders taught by pictures and by words "
        "separately.",
    )


def _finetuned(outputs: PipelineOutputs, benchmark: str) -> Plot | None:
    """Confusion after finetuning: of each stream, or of one stream with and without pretraining."""
    trained = lookup(outputs.protocols, "finetune", benchmark) or {}
    streams = [stream for stream in STREAMS if stream in trained]
    wanted = [(stream, PRETRAINED) for stream in streams]
    if len(streams) == 1:
        wanted.insert(0, (streams[0], SCRATCH))
    matrices = []
    for stream, start in wanted:
        table = outputs.table(
            f"results/finetune/full/{benchmark}-{stream}/scores.parquet",
            "The table of the finetuned encoders' scores",
            ["start", "label", "scores"],
        )
        rows = None if table is None else _where(table, start=start)
        if rows is not None and rows.num_rows:
            answers = tables.vectors(rows["scores"]).argmax(axis=1).tolist()
            found = counts(rows["label"].to_pylist(), answers, len(outputs.classes))
            matrices.append((f"{stream}, {STARTS[start]}", found))
    return confusion(
        matrices,
        outputs.classes,
        outputs.classes,
        f"confusion-finetuned-{benchmark}",
        f"Confusion matrices after finetuning, {benchmark}",
        "Trained with all labels, on test clips. Each row adds up to 100 %; a perfect result is a "
        "bright diagonal.",
        number=len(outputs.classes) <= WITH_NUMBERS,
    )


def _tsne(outputs: PipelineOutputs, benchmark: str, params: ReportParams) -> Plot | None:
    table = outputs.table("results/evaluate/features.parquet", "The table of features")
    if table is None:
        return None
    panels = []
    for method in TSNE_METHODS:
        rows = _where(table, benchmark=benchmark, method=method, stream="joint").sort_by("sample")
        if rows.num_rows:
            features = (
                pc.list_flatten(rows.column("feature"))
                .to_numpy()
                .astype(np.float32)
                .reshape(rows.num_rows, -1)
            )
            panels.append((METHOD_NAMES[method], features, rows.column("label").to_numpy()))
    return tsne(
        panels, outputs.classes, benchmark, params.tsne_classes, params.tsne_points, params.seed
    )


def _similarity(outputs: PipelineOutputs, benchmark: str) -> Plot | None:
    columns = ["benchmark", "method", "knowledge", "kind", "similarity"]
    table = outputs.table(
        "results/evaluate/similarity.parquet", "The table of similarities", columns
    )
    if table is None:
        return None
    table = _where(table, benchmark=benchmark)
    pairs = {}
    for method in pc.unique(table.column("method")).to_pylist():
        for knowledge in pc.unique(table.column("knowledge")).to_pylist():
            of = _where(table, method=method, knowledge=knowledge)
            positive, negative = (
                _where(of, kind=kind).column("similarity").to_numpy()
                for kind in ("positive", "negative")
            )
            pairs[method, knowledge] = (positive, negative)
    return similarity(pairs, benchmark)


def _where(table: pa.Table, **values: str) -> pa.Table:
    for column, value in values.items():
        table = table.filter(pc.equal(table.column(column), value))
    return table
