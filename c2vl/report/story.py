"""The run in six sentences, one a section, from what went in to what it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from c2vl.report import took
from c2vl.report.paper_tables import of_paper
from c2vl.report.pipeline_outputs import Outs, lookup
from c2vl.report.went_in import facts


def story(outs: Outs, records: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """(anchor, title, sentence) of each section."""
    told = [
        ("in", "What went in", _went_in(outs)),
        ("seen", "What the engines saw", _seen(outs.scores)),
        ("learnt", "What was learnt", _learnt(outs)),
        ("paper", "The paper's tables", _paper(outs)),
        ("beyond", "Beyond the paper", _beyond(outs)),
        ("took", "What it took", _took(records)),
    ]
    return [(anchor, title, sentence.replace(" %", "\u00a0%")) for anchor, title, sentence in told]


def _went_in(outs: Outs) -> str:
    samples, classes, subjects, _, cameras, gone = (number for number, _ in facts(outs))
    people = (
        f" by {subjects} people" if subjects != "0" else ""
    )  # PKU-MMD I does not tell who is who
    gone_too = f"{gone} more left out, with reasons"
    return f"{samples} clips of {classes} actions{people} before {cameras} cameras; {gone_too}."


def _seen(scores: Mapping[str, Any]) -> str:
    recall, phrase = lookup(scores, "detector", "recall"), lookup(scores, "captioner", "phrase")
    thing, alone = (
        lookup(scores, "captioner", "object"),
        lookup(scores, "prompts", "bag_of_words") or {},
    )
    if recall is not None and phrase is not None and thing is not None:
        return (
            f"{recall * 100:.0f} % of the people were found; the answers had the object right in {thing * 100:.0f} % "
            f"and the action in {phrase * 100:.0f} % of the frames."
        )
    found = next((line["all"] for line in alone.values() if line.get("all") is not None), None)
    if found is not None:
        return f"A bag of words names the class of {found * 100:.0f} % of the clips from their answers alone."
    return "The engines' outs were not scored."


def _learnt(outs: Outs) -> str:
    for benchmark in outs.benchmarks:
        ours, none = (
            lookup(outs.metrics, "linear", benchmark, "joint", method, "top1")
            for method in ("c2vl", "random")
        )
        if ours is not None:
            before = (
                f", where an untrained encoder gives {none * 100:.0f} %" if none is not None else ""
            )
            return f"From the skeleton alone, {ours * 100:.0f} % of the test clips of {benchmark} are told right{before}."
    return "No encoder of C²VL was evaluated."


def _paper(outs: Outs) -> str:
    beside = (
        "the paper's numbers beside them"
        if of_paper(outs.dataset)
        else "without the paper's, which are of other data"
    )
    few = next(
        (
            found
            for found in (_few_labels(outs, benchmark) for benchmark in outs.benchmarks)
            if found
        ),
        "",
    )
    return f"Its protocols on this run, {beside}.{few}"


def _few_labels(outs: Outs, benchmark: str) -> str:
    of = lookup(outs.protocols, "semi", benchmark, "joint", "c2vl")
    if not of:
        return ""
    share = max(of, key=float)
    starts = [
        lookup(outs.protocols, "semi", benchmark, "joint", start, share, "top1", "mean")
        for start in ("c2vl", "scratch")
    ]
    before = f", {starts[1] * 100:.0f} % without" if starts[1] is not None else ""
    return f" With {float(share) * 100:g} % of the labels: {starts[0] * 100:.0f} % after pretraining{before}."


def _beyond(outs: Outs) -> str:
    for benchmark in outs.benchmarks:
        found = lookup(outs.metrics, "zero_shot", benchmark, "joint", "c2vl")
        if found:
            right, chance = f"{found['top1'] * 100:.0f} %", f"{found['chance'] * 100:.0f} %"
            return f"From the names of the actions alone, without any label, {right} are told right; chance is {chance}."
    return "Search by a sentence, recognition from names, confidence, gains by class."


def _took(records: Sequence[Mapping[str, Any]]) -> str:
    if not records:
        return "The results were pulled, not computed on this machine."
    reused = sum(record["reused"] for record in records if isinstance(record.get("reused"), int))
    computed = sum(
        record["computed"] for record in records if isinstance(record.get("computed"), int)
    )
    most = max(float(record["peak_memory_mib"]) for record in records)
    return f"{took.total(records)}, at most {most / 1024:.1f} GiB of memory; {computed:,} units computed, {reused:,} reused."
