"""Tables that the paper does not have: zero-shot recognition, retrieval by text, calibration."""

from __future__ import annotations

from c2vl.report.figures.reliability import Bins, reliability
from c2vl.report.method_tables import STREAMS
from c2vl.report.pipeline_outputs import PipelineOutputs, lookup
from c2vl.report.result_table import Cell, Row, Table, percent, words
from c2vl.report.style import METHOD_NAMES, Plot

AT = (1, 5, 10)
WAYS = {
    "sentence_to_skeleton": "skeletons by a sentence",
    "skeleton_to_sentence": "sentences by a skeleton",
}
ALIGNED = ("infonce", "c2vl")  # methods that align skeletons with the prompts


def zero_shot_table(outputs: PipelineOutputs) -> Table | None:
    """Zero-shot accuracy (recognition from class names alone) of each stream."""
    part, benchmarks = outputs.metrics.get("zero_shot") or {}, outputs.benchmarks
    rows = []
    for stream, title in STREAMS.items():
        for method in ALIGNED:
            found = [lookup(part, benchmark, stream, method) or {} for benchmark in benchmarks]
            if any(found):
                cells = [percent(of.get(name)) for of in found for name in ("top1", "top5")]
                kind = "ours" if method == "c2vl" else "baseline"
                rows.append(Row((words(METHOD_NAMES[method]), words(title), *cells), kind))
    if not rows:
        return None
    chance = [lookup(part, benchmark, "joint", "c2vl", "chance") for benchmark in benchmarks]
    classes = [lookup(outputs.metrics, "samples", benchmark, "classes") for benchmark in benchmarks]
    five = [5 / count if count and count > 5 else None for count in classes]
    cells = [percent(value) for pair in zip(chance, five, strict=True) for value in pair]
    rows.insert(0, Row((words("chance"), words(""), *cells), "baseline"))
    heads = (
        "method",
        "stream",
        *(f"{benchmark} {what}" for benchmark in benchmarks for what in ("top-1", "top-5")),
    )
    note = (
        "Accuracy in percent on test clips. No label is used. The predicted class is the one "
        "whose name, as a sentence, lies nearest to the skeleton in the shared space."
    )
    return Table(
        "zero-shot",
        "Actions from their names alone (zero-shot)",
        heads,
        tuple(rows),
        note,
    )


def retrieval_table(outputs: PipelineOutputs) -> Table | None:
    """Recall at 1, 5 and 10 of skeletons and sentences, joint stream, beside chance."""
    part = outputs.metrics.get("retrieval") or {}
    rows: list[Row] = []
    for benchmark in outputs.benchmarks:
        for way, title in WAYS.items():
            of = {method: lookup(part, benchmark, "joint", method, way) for method in ALIGNED}
            known = {method: found for method, found in of.items() if found}
            if not known:
                continue
            first = next(iter(known.values()))
            chance = [percent(first.get(f"chance{at}")) for at in AT]
            head = (words(benchmark), words(title))
            rows.append(
                Row(
                    (*head, words("chance"), *chance, Cell("", ""), Cell("", "")),
                    "baseline",
                    rule=bool(rows),
                )
            )
            for method, found in known.items():
                cells = [percent(found.get(f"recall{at}")) for at in AT]
                rank = Cell(f"{found['median_rank']:g}", found["median_rank"])
                same = percent(found.get("same_class"))
                # The page shows these names once; the CSV has them in every row.
                head = (Cell("", benchmark, left=True), Cell("", title, left=True))
                kind = "ours" if method == "c2vl" else "baseline"
                rows.append(Row((*head, words(METHOD_NAMES[method]), *cells, rank, same), kind))
    if not rows:
        return None
    counts = [lookup(part, benchmark, "joint", "c2vl") or {} for benchmark in outputs.benchmarks]
    sizes = ", ".join(
        f"{of['clips']:,} clips and {of['sentences']:,} sentences ({name})"
        for name, of in zip(outputs.benchmarks, counts, strict=True)
        if of
    )
    heads = (
        "benchmark",
        "what is retrieved",
        "method",
        *(f"recall@{at}" for at in AT),
        "median rank",
        "same class",
    )
    note = (
        f"In percent, joint stream. Test clips against the distinct sentences among their middle "
        f"answers: {sizes}. Recall@k: a correct one is among the first k. Same class: the first "
        "result shows the same action. Chance: a random draw."
    )
    return Table(
        "retrieval",
        "Retrieval: a sentence finds skeletons, a skeleton finds sentences",
        heads,
        tuple(rows),
        note,
    )


def calibration_table(outputs: PipelineOutputs) -> Table | None:
    """Expected calibration error of the linear classifiers."""
    rows = []
    for method in ("random", "infonce", "c2vl", "supervised"):
        for stream, title in STREAMS.items():
            found = [
                lookup(outputs.metrics, "linear", benchmark, stream, method, "ece")
                for benchmark in outputs.benchmarks
            ]
            if any(value is not None for value in found):
                cells = [
                    Cell("–", "") if value is None else Cell(f"{value:.3f}", value)
                    for value in found
                ]
                kind = "ours" if method == "c2vl" else "baseline"
                rows.append(Row((words(METHOD_NAMES[method]), words(title), *cells), kind))
    if not rows:
        return None
    note = (
        "Expected calibration error of linear evaluation, 15 bins, 0…1 (Guo et al. 2017): the "
        "gap between confidence and accuracy; lower is better. Fused scores are averages, so "
        "their confidence is lower than their accuracy."
    )
    return Table(
        "calibration",
        "Calibration: confidence against accuracy",
        ("method", "stream", *outputs.benchmarks),
        tuple(rows),
        note,
    )


def reliability_plot(outputs: PipelineOutputs, benchmark: str) -> Plot | None:
    """Reliability diagram of the joint stream; None if no classifier was calibrated."""
    bins: dict[str, Bins] = {}
    for row in outputs.rows("results/evaluate/calibration.csv"):
        if (row["benchmark"], row["stream"]) == (benchmark, "joint") and int(row["clips"]):
            line = (float(row["confidence"]), float(row["accuracy"]), int(row["clips"]))
            bins.setdefault(row["method"], []).append(line)
    error = {
        method: lookup(outputs.metrics, "linear", benchmark, "joint", method, "ece")
        for method in bins
    }
    return reliability(bins, error, benchmark)
