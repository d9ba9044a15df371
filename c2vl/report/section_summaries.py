"""One sentence about each section of the report, from the data to the time it needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from c2vl.report import stage_times
from c2vl.report.dataset_tables import facts
from c2vl.report.paper_tables import paper_numbers
from c2vl.report.pipeline_outputs import PipelineOutputs, lookup


def section_summaries(
    outputs: PipelineOutputs, records: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str, str]]:
    """(anchor, title, sentence) of each section.

    Args:
        outputs: the outputs of the other stages.
        records: `runlog.records()` of this machine.
    """
    sections = [
        ("data", "The data", _data(outputs)),
        ("engines", "What the engines found", _engines(outputs.scores)),
        ("results", "What the encoder learnt", _results(outputs)),
        ("paper", "The paper's tables", _paper(outputs)),
        ("beyond", "Beyond the paper", _beyond(outputs)),
        ("cost", "Time and memory", _cost(records)),
    ]
    return [
        (anchor, title, sentence.replace(" %", "\u00a0%")) for anchor, title, sentence in sections
    ]


def _data(outputs: PipelineOutputs) -> str:
    samples, classes, subjects, _, cameras, excluded = (number for number, _ in facts(outputs))
    # PKU-MMD I has no subject numbers.
    people = f" by {subjects} people" if subjects != "0" else ""
    return (
        f"{samples} clips of {classes} actions{people} from {cameras} cameras; "
        f"{excluded} more are excluded, with the reason."
    )


def _engines(scores: Mapping[str, Any]) -> str:
    recall, phrase = lookup(scores, "detector", "recall"), lookup(scores, "captioner", "phrase")
    thing, alone = (
        lookup(scores, "captioner", "object"),
        lookup(scores, "prompts", "bag_of_words") or {},
    )
    if recall is not None and phrase is not None and thing is not None:
        return (
            f"The detector found {recall * 100:.0f} % of the people; the answers name the right "
            f"object in {thing * 100:.0f} % and the right action in {phrase * 100:.0f} % of the "
            f"{lookup(scores, 'captioner', 'per') or 'frame'}s."
        )
    found = next((line["all"] for line in alone.values() if line.get("all") is not None), None)
    if found is not None:
        return (
            f"A bag of words predicts the class of {found * 100:.0f} % of the clips from their "
            "answers alone."
        )
    return "The engines were not scored."


def _results(outputs: PipelineOutputs) -> str:
    for benchmark in outputs.benchmarks:
        ours, none = (
            lookup(outputs.metrics, "linear", benchmark, "joint", method, "top1")
            for method in ("c2vl", "random")
        )
        if ours is not None:
            before = (
                f"; an untrained encoder reaches {none * 100:.0f} %" if none is not None else ""
            )
            return (
                f"From the skeleton alone, {ours * 100:.0f} % of the test clips of {benchmark} "
                f"are classified correctly{before}."
            )
    return "No encoder of C²VL was evaluated."


def _paper(outputs: PipelineOutputs) -> str:
    beside = (
        "with the paper's numbers beside them"
        if paper_numbers(outputs.dataset)
        else "without the paper's numbers, which are of other data"
    )
    few = next(
        (
            found
            for found in (_few_labels(outputs, benchmark) for benchmark in outputs.benchmarks)
            if found
        ),
        "",
    )
    return f"The paper's protocols on this run, {beside}.{few}"


def _few_labels(outputs: PipelineOutputs, benchmark: str) -> str:
    of = lookup(outputs.protocols, "semi", benchmark, "joint", "c2vl")
    if not of:
        return ""
    share = max(of, key=float)
    starts = [
        lookup(outputs.protocols, "semi", benchmark, "joint", start, share, "top1", "mean")
        for start in ("c2vl", "scratch")
    ]
    before = f" and {starts[1] * 100:.0f} % without" if starts[1] is not None else ""
    return (
        f" With {float(share) * 100:g} % of the labels: {starts[0] * 100:.0f} % with "
        f"pretraining{before}."
    )


def _beyond(outputs: PipelineOutputs) -> str:
    for benchmark in outputs.benchmarks:
        found = lookup(outputs.metrics, "zero_shot", benchmark, "joint", "c2vl")
        if found:
            right, chance = f"{found['top1'] * 100:.0f} %", f"{found['chance'] * 100:.0f} %"
            return (
                f"From the class names alone, without any label, {right} of the test clips are "
                f"classified correctly; chance is {chance}."
            )
    return "Search by a sentence, recognition from class names, calibration, gains by class."


def _cost(records: Sequence[Mapping[str, Any]]) -> str:
    if not records:
        return "The results were pulled, not computed on this machine."
    reused = sum(record["reused"] for record in records if isinstance(record.get("reused"), int))
    computed = sum(
        record["computed"] for record in records if isinstance(record.get("computed"), int)
    )
    most = max(float(record["peak_memory_mib"]) for record in records)
    return (
        f"{stage_times.total(records)}, at most {most / 1024:.1f} GiB of memory; "
        f"{computed:,} units computed, {reused:,} reused."
    )
