"""Tables I to V in the paper's layout; its own rows stand beside ours on the same data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from c2vl.report.packaged import packaged_json
from c2vl.report.pipeline_outputs import DATASETS, PipelineOutputs, lookup
from c2vl.report.result_table import Cell, Row, Table, best_of, percent, words

MODALITIES = {
    "joint": "J",
    "bone": "B",
    "motion": "M",
    "fusion": "J+M+B",
    "fusion_equal": "J+M+B, equal weights",
}
FROZEN = {"random": "untrained", "infonce": "hard InfoNCE, same prompts", "c2vl": "C²VL"}
STARTS = {"scratch": "from scratch, same schedule", "c2vl": "C²VL"}
Find = Callable[[str, str, str], Any]  # (benchmark, stream, method) → a share, or None
Line = tuple[tuple[Cell, ...], list[float | None], str, bool]  # heads, values, kind, rule above


def paper_tables(outputs: PipelineOutputs) -> list[Table]:
    """The tables among I to V that this run has numbers for, in order."""
    made = (
        linear_table(outputs),
        finetune_table(outputs),
        semi_table(outputs),
        knn_table(outputs),
        transfer_table(outputs),
    )
    return [table for table in made if table is not None]


def linear_table(outputs: PipelineOutputs) -> Table | None:
    """Table I: linear evaluation, single streams and three streams."""

    def found(benchmark: str, stream: str, method: str) -> float | None:
        return lookup(outputs.metrics, "linear", benchmark, stream, method, "top1")

    lines = _lines(outputs, outputs.benchmarks, FROZEN, found, "linear")
    heads = ("method", "encoder", "modality", *outputs.benchmarks)
    note = (
        "Top-1 accuracy in percent on test clips of a linear classifier on frozen features, "
        "last epoch."
    )
    return _table(
        "table-1-linear", "Table I", "linear evaluation", heads, lines, note, outputs, best=True
    )


def finetune_table(outputs: PipelineOutputs) -> Table | None:
    """Table II: the whole network trained on all labels, pretrained by C²VL and from scratch."""
    part = outputs.protocols.get("finetune") or {}
    benchmarks = sorted(part)

    def found(benchmark: str, stream: str, start: str) -> float | None:
        return lookup(part, benchmark, stream, start, "top1")

    lines = _lines(outputs, benchmarks, STARTS, found, "finetune")
    heads = ("method", "encoder", "modality", *benchmarks)
    note = (
        "Top-1 accuracy in percent on test clips after training the whole network with every "
        "training label, last epoch."
    )
    return _table("table-2-finetune", "Table II", "finetuning", heads, lines, note, outputs)


def semi_table(outputs: PipelineOutputs) -> Table | None:
    """Table III: the whole network trained on a share of the labels."""
    part = outputs.protocols.get("semi") or {}
    benchmarks = sorted(part)
    shares = sorted(
        {
            float(f)
            for of in part.values()
            for starts in of.values()
            for by in starts.values()
            for f in by
        }
    )
    places = [(benchmark, f"{share:g}") for benchmark in benchmarks for share in shares]
    rows: list[Row] = []
    for stream, modality in MODALITIES.items():
        for start, name in STARTS.items():
            cells = [
                _spread(lookup(part, benchmark, stream, start, share, "top1"))
                for benchmark, share in places
            ]
            if any(cell.value != "" for cell in cells):
                rows.append(
                    Row(
                        (words(name), words(modality), *cells),
                        "ours" if start == "c2vl" else "baseline",
                    )
                )
        if stream == "joint":
            printed = paper_numbers(outputs.dataset)
            theirs = [
                lookup(printed, benchmark, "semi", f"{float(share) * 100:g}")
                for benchmark, share in places
            ]
            rows += _paper((words("C²VL"), words("J")), theirs)
    if all(row.kind == "paper" for row in rows):
        return None
    heads = (
        "method",
        "modality",
        *(f"{benchmark} {float(share) * 100:g} %" for benchmark, share in places),
    )
    labelled = [
        (head, _labelled(part[benchmark], share))
        for head, (benchmark, share) in zip(heads[2:], places, strict=True)
    ]
    clips = "; ".join(f"{head}: {count:,}" for head, count in labelled if count)
    note = (
        "Top-1 accuracy in percent on test clips after training the whole network with a share of "
        "the labels, the same share of every class: mean ± sample standard deviation over the "
        "draws, last epoch."
        f"{f' Clips with a label: {clips}.' if clips else ''}{_whose(rows)}"
    )
    title = f"semi-supervised learning, {outputs.dataset_name}"
    return Table("table-3-semi", title, heads, tuple(rows), note, "Table III")


def knn_table(outputs: PipelineOutputs) -> Table | None:
    """Table IV: KNN on frozen features, joint stream."""

    def found(benchmark: str, stream: str, method: str) -> float | None:
        return (
            lookup(outputs.metrics, "knn", benchmark, stream, method, "top1")
            if stream == "joint"
            else None
        )

    lines = _lines(outputs, outputs.benchmarks, FROZEN, found, "knn")
    lines = [(heads[:1], values, kind, rule) for heads, values, kind, rule in lines]
    note = f"Top-1 accuracy in percent on test clips, joint stream, KNN: {outputs.nearest}."
    return _table(
        "table-4-knn",
        "Table IV",
        "KNN",
        ("method", *outputs.benchmarks),
        lines,
        note,
        outputs,
        best=True,
    )


def transfer_table(outputs: PipelineOutputs) -> Table | None:
    """Table V: pretrained on this data set, finetuned on another one."""
    part: dict[str, Any] = outputs.protocols.get("transfer") or {}
    targets = sorted(part)
    rows: list[Row] = []
    for stream, modality in MODALITIES.items():
        for start, name in STARTS.items():
            values = [lookup(part, target, "streams", stream, start, "top1") for target in targets]
            if any(value is not None for value in values):
                kind = "ours" if start == "c2vl" else "baseline"
                rows.append(Row((words(name), words(modality), *map(percent, values)), kind))
        if stream == "joint":
            theirs = [_paper_transfer(outputs.dataset, part[target]) for target in targets]
            rows += _paper((words("C²VL"), words("J")), theirs)
    if all(row.kind == "paper" for row in rows):
        return None
    chance = [
        1 / part[target]["classes"] if part[target].get("classes") else None for target in targets
    ]
    rows.insert(0, Row((words("chance"), words(""), *map(percent, chance)), "baseline"))
    heads = (
        "method",
        "modality",
        *(_to(outputs.dataset, target, part[target]) for target in targets),
    )
    sources = ", ".join(sorted({str(part[target].get("source")) for target in targets}))
    note = (
        "Top-1 accuracy in percent on the target's test clips after training the whole network on "
        f"its training split; pretrained on {outputs.dataset_name}, {sources}.{_whose(rows)}"
    )
    return Table(
        "table-5-transfer",
        f"transfer from {outputs.dataset_name}",
        heads,
        tuple(rows),
        note,
        "Table V",
    )


def paper_numbers(dataset: str) -> dict[str, Any]:
    """The paper's percentages for `dataset` by benchmark, protocol and stream; empty if none."""
    found: dict[str, Any] = packaged_json("reference.json")["top1"].get(dataset, {})
    return found


def _lines(
    outputs: PipelineOutputs,
    benchmarks: Sequence[str],
    methods: dict[str, str],
    found: Find,
    protocol: str,
) -> list[Line]:
    printed, lines = paper_numbers(outputs.dataset), list[Line]()
    for stream, modality in MODALITIES.items():
        fused = stream == "fusion"
        for method, name in methods.items():
            values = [found(benchmark, stream, method) for benchmark in benchmarks]
            if any(value is not None for value in values):
                heads = (words(name), words(outputs.encoder), words(modality))
                lines.append(
                    (
                        heads,
                        values,
                        "ours" if method == "c2vl" else "baseline",
                        fused and bool(lines),
                    )
                )
                fused = False
        theirs = [lookup(printed, benchmark, protocol, stream) for benchmark in benchmarks]
        if lines and any(value is not None for value in theirs):
            heads = (words("C²VL"), words("ST-GCN"), words(modality))
            lines.append(
                (heads, [None if v is None else round(v / 100, 4) for v in theirs], "paper", fused)
            )
    return lines


def _table(
    name: str,
    number: str,
    title: str,
    heads: tuple[str, ...],
    lines: list[Line],
    note: str,
    outputs: PipelineOutputs,
    best: bool = False,
) -> Table | None:
    if all(line[2] == "paper" for line in lines):
        return None
    # The best value is marked among the single streams only.
    fused = next((place for place, line in enumerate(lines) if line[3]), len(lines))
    single = [values for _, values, kind, _ in lines[:fused] if kind != "paper" and best]
    top = best_of(single) if single else [None] * (len(lines[0][1]))
    rows = []
    for place, (cells, values, kind, rule) in enumerate(lines):
        ours = kind != "paper" and place < fused
        leads = [
            ours and v is not None and round(v, 3) == most
            for v, most in zip(values, top, strict=True)
        ]
        numbers = [
            percent(value, "best" if lead else "")
            for value, lead in zip(values, leads, strict=True)
        ]
        rows.append(Row((*cells, *numbers), kind, rule))
    if best:
        note += f" Marked: the best of our {'single streams' if fused < len(lines) else 'rows'}."
    return Table(
        name, f"{title}, {outputs.dataset_name}", heads, tuple(rows), note + _whose(rows), number
    )


def _paper(heads: tuple[Cell, ...], values: Sequence[float | None]) -> list[Row]:
    if all(value is None for value in values):
        return []
    shares = [None if value is None else round(value / 100, 4) for value in values]
    return [Row((*heads, *map(percent, shares)), "paper")]


def _paper_transfer(dataset: str, target: dict[str, Any]) -> float | None:
    if target.get("source") != "xsub":  # the paper pretrains on the training clips of xsub
        return None
    printed = paper_numbers(str(target.get("dataset")))
    return lookup(printed, str(target.get("benchmark")), "transfer", dataset)


def _to(source: str, name: str, target: dict[str, Any]) -> str:
    dataset = str(target.get("dataset"))
    # A target of the same kind as the source is named by its folder.
    title = name if dataset == source else DATASETS.get(dataset, name)
    return f"to {title} {target.get('benchmark', '')}".strip()


def _whose(rows: Sequence[Row]) -> str:
    if not any(row.kind == "paper" for row in rows):
        return ""
    source = packaged_json("reference.json")["source"]
    return f" Rows of the paper are printed in the {source}, not measured here."


def _labelled(of_benchmark: dict[str, Any], share: str) -> int | None:
    counts = (lookup(starts, "c2vl", share, "labelled") for starts in of_benchmark.values())
    return next((count for count in counts if count), None)


def _spread(found: dict[str, Any] | None) -> Cell:
    return percent(None) if found is None else percent(found["mean"], spread=found.get("std"))
