"""Tables of accuracy: every method and stream, and one sentence about each benchmark."""

from __future__ import annotations

import yaml

from c2vl.report.figures.versus import Line
from c2vl.report.pipeline_outputs import PipelineOutputs, lookup
from c2vl.report.result_table import Cell, Row, Table, best_of, percent, words
from c2vl.report.style import C2VL, INFONCE, RANDOM, SUPERVISED, WORDS

STREAMS = {
    "joint": "joint",
    "motion": "motion",
    "bone": "bone",
    "fusion": "three streams",
    "fusion_equal": "three streams, equal weights",
}
METHODS = {
    "random": "untrained encoder",
    "infonce": "hard InfoNCE, same prompts",
    "c2vl": "C²VL",
    "supervised": "supervised encoder, frozen",
    "oracle": "oracle: soft targets from the true labels",
}


def methods_table(outputs: PipelineOutputs, benchmarks: list[str]) -> Table:
    """Accuracy of every method on the joint stream, linear and KNN for each benchmark."""
    metrics, lines = outputs.metrics, []
    for method, name in METHODS.items():
        values = []
        for benchmark in benchmarks:
            values.append(lookup(metrics, "linear", benchmark, "joint", method, "top1"))
            values.append(lookup(metrics, "knn", benchmark, "joint", method, "top1"))
        lines.append((name, values, "ours" if method == "c2vl" else "baseline"))
    end = [
        v
        for b in benchmarks
        for v in (lookup(metrics, "end_to_end", b, "joint", "supervised", "top1"), None)
    ]
    lines.append(("supervised, its own classifier", end, "baseline"))
    chance = [v for b in benchmarks for v in (lookup(metrics, "samples", b, "chance"),) * 2]
    lines = [
        ("chance", chance, "baseline"),
        *(line for line in lines if any(value is not None for value in line[1])),
    ]
    heads = [
        f"{benchmark} {protocol}" for benchmark in benchmarks for protocol in ("linear", "KNN")
    ]
    learnt = best_of([values for name, values, _ in lines if not name.startswith("supervised")])
    rows = tuple(
        Row((words(name), *_marked(values, learnt, name)), kind) for name, values, kind in lines
    )
    return Table(
        "methods",
        "Methods compared on the joint stream",
        ("joint stream", *heads),
        rows,
        "Top-1 accuracy in percent on test clips, last epoch. Marked: the best method that used "
        "no label during pretraining. "
        f"KNN: {outputs.nearest}.",
    )


def video_table(outputs: PipelineOutputs, benchmarks: list[str]) -> Table | None:
    """C²VL on the sensor's skeletons beside C²VL on those from the videos; None without them."""
    rows = []
    for benchmark in benchmarks:
        for protocol, name in (("linear", "linear"), ("knn", "KNN")):
            sensor, video = (
                lookup(outputs.metrics, protocol, benchmark, "joint", method, "top1")
                for method in ("c2vl", "video")
            )
            if video is not None:
                cells = (words(f"{benchmark} {name}"), percent(sensor), percent(video))
                rows.append(Row(cells))
    if not rows:
        return None
    layout = outputs.layout
    return Table(
        "video-skeletons",
        "Skeletons from the sensor, and from the video",
        ("C²VL, joint stream", "from the sensor", "from the video"),
        tuple(rows),
        "Top-1 accuracy in percent on test clips. The same encoder is pretrained on the same "
        f"prompts, once on the data set's skeletons ({layout.count} joints, "
        f"{'3D' if layout.three_d else '2D'}), once on those that ViTPose finds in the videos (17 "
        "joints, 2D).",
    )


def _marked(values: list[float | None], best: list[float | None], name: str) -> list[Cell]:
    leads = [
        value is not None and round(value, 3) == top
        for value, top in zip(values, best, strict=True)
    ]
    learnt = not name.startswith("supervised")
    return [
        percent(value, "best" if first and learnt else "")
        for value, first in zip(values, leads, strict=True)
    ]


def streams_table(outputs: PipelineOutputs, benchmarks: list[str]) -> Table | None:
    """C²VL by stream, and fused."""
    rows: list[Row] = []
    for stream, title in STREAMS.items():
        cells: list[Cell] = []
        for benchmark in benchmarks:
            linear = lookup(outputs.metrics, "linear", benchmark, stream, "c2vl") or {}
            knn = lookup(outputs.metrics, "knn", benchmark, stream, "c2vl") or {}
            cells += [
                percent(linear.get("top1")),
                percent(linear.get("top5")),
                percent(linear.get("best_on_test")),
                percent(knn.get("top1")),
            ]
        if any(cell.value != "" for cell in cells):
            rows.append(Row((words(title), *cells)))
    if not rows:
        return None
    heads = [
        f"{benchmark} {what}"
        for benchmark in benchmarks
        for what in ("linear", "top-5", "best on test", "KNN")
    ]
    note = (
        "Accuracy in percent, last epoch. “Best on test” picks the epoch by its test accuracy, "
        "as many papers do; it is not a fair estimate."
    )
    if outputs.weights:
        note += f" Three streams add their {outputs.fused} with weights {outputs.weights}."
    return Table("streams", "C²VL by stream", ("stream", *heads), tuple(rows), note)


def versus_lines(outputs: PipelineOutputs, benchmark: str) -> list[Line]:
    """(name, accuracy, colour) of each bar, from no training to training with every label."""
    metrics, scores = outputs.metrics, outputs.scores
    candidates: list[tuple[str, float | None, str]] = [
        (
            "words alone, no skeleton",
            lookup(scores, "prompts", "bag_of_words", benchmark, "all"),
            WORDS,
        ),
        (
            "untrained encoder",
            lookup(metrics, "linear", benchmark, "joint", "random", "top1"),
            RANDOM,
        ),
        (
            "InfoNCE, same prompts",
            lookup(metrics, "linear", benchmark, "joint", "infonce", "top1"),
            INFONCE,
        ),
        ("C²VL", lookup(metrics, "linear", benchmark, "joint", "c2vl", "top1"), C2VL),
        (
            "C²VL, three streams",
            lookup(metrics, "linear", benchmark, "fusion", "c2vl", "top1"),
            C2VL,
        ),
        (
            "supervised, every label",
            lookup(metrics, "end_to_end", benchmark, "joint", "supervised", "top1"),
            SUPERVISED,
        ),
    ]
    return [(name, value, colour) for name, value, colour in candidates if value is not None]


def other_objective(settings: str) -> list[str]:
    """A sentence if the encoders were trained with an objective other than the paper's.

    Args:
        settings: text of `params.yaml`.
    """
    name = lookup(yaml.safe_load(settings) or {}, "pretrain", "objective", "name")
    if name in (None, "c2vl"):
        return []
    return [
        f"This run trained with the objective {name}, not with the paper's. Where this page says "
        f"C²VL, it shows {name}."
    ]


def verdict(outputs: PipelineOutputs, benchmark: str) -> str:
    """One sentence that compares C²VL with the baselines on `benchmark`, whoever leads."""
    metrics = outputs.metrics
    joint, hard, none = (
        lookup(metrics, "linear", benchmark, "joint", method, "top1")
        for method in ("c2vl", "infonce", "random")
    )
    full = lookup(metrics, "end_to_end", benchmark, "joint", "supervised", "top1")
    fused = lookup(metrics, "linear", benchmark, "fusion", "c2vl", "top1")
    if joint is None:
        return f"C²VL was not evaluated on {benchmark}. {outputs.untrained(benchmark)}".strip()
    text = f"On {benchmark}, C²VL reaches {joint * 100:.1f} % from the joint stream"
    text += f" and {fused * 100:.1f} % from three streams" if fused is not None else ""
    others = []
    if none is not None:
        others.append(f"an untrained encoder {none * 100:.1f} %")
    if hard is not None:
        others.append(f"hard InfoNCE on the same prompts {hard * 100:.1f} %")
    if full is not None:
        others.append(f"training with every label {full * 100:.1f} %")
    text += ("; " + ", ".join(others) if others else "") + "."
    if hard is not None:
        gap, test = (joint - hard) * 100, lookup(metrics, "samples", benchmark, "test")
        noise = (
            1.96 * 100 * ((joint * (1 - joint) + hard * (1 - hard)) / test) ** 0.5 if test else 0.0
        )
        if abs(gap) < noise:
            text += (
                f" With {test:,} test clips and one seed, the difference of {abs(gap):.1f} points "
                "between C²VL and InfoNCE may be chance."
            )
        else:
            lead = "leads" if gap > 0 else "trails"
            text += f" C²VL {lead} InfoNCE by {abs(gap):.1f} points in this run."
    return text
