"""Tables about the engines: scores against the truth, quality of the prompts, broken samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from c2vl.report.figures.confusion import confusion, worst
from c2vl.report.packaged import packaged_json
from c2vl.report.pipeline_outputs import PipelineOutputs, lookup
from c2vl.report.result_table import Cell, Row, Table, percent, words
from c2vl.report.style import Plot


def engine_table(scores: dict[str, Any]) -> Table | None:
    """Scores of the engines, with the target and the score of always guessing.

    Guessing is the commonest answer, or a random draw. None if nothing was scored.
    """
    rows: list[Row] = []
    for engine, asked in packaged_json("targets.json").items():
        measured = [(line, lookup(scores, *line["score"])) for line in asked]
        measured = [(line, score) for line, score in measured if score is not None]
        for place, (line, score) in enumerate(measured):
            target = line.get("target") if scores.get("truth") else None
            mark = "" if target is None else ("reached" if score >= target else "missed")
            baseline = lookup(scores, *line["baseline"]) if "baseline" in line else None
            shown, wanted = (
                percent(score, mark),
                percent(target) if target is not None else Cell("", ""),
            )
            if line.get("unit") == "share":
                shown, wanted = Cell(f"{score:.2f}", score, mark), Cell(f"{target:.2f}", target)
            rows.append(
                Row(
                    (
                        words(engine if place == 0 else ""),
                        words(line["name"]),
                        shown,
                        wanted,
                        percent(baseline),
                    )
                )
            )
    if not rows:
        return None
    return Table(
        "engines",
        "Engine scores",
        ("engine", "score", "reached", "at least", "guessing"),
        tuple(rows),
        "In percent; IoU in 0…1. Guessing: always the commonest answer, or a random draw. "
        "Only scoring reads the ground truth.",
    )


def words_alone_table(scores: dict[str, Any]) -> Table | None:
    """Accuracy of a bag of words over the answers, without any skeleton."""
    found = lookup(scores, "prompts", "bag_of_words") or {}
    ceiling = scores.get("bag_of_words_of_truth") or {}
    rows = []
    for benchmark, line in found.items():
        above = lookup(ceiling, benchmark, "all")
        rows.append(
            Row(
                (
                    words(benchmark),
                    percent(line["all"]),
                    percent(line["middle"]),
                    percent(above),
                    percent(line["chance"]),
                )
            )
        )
    if not rows:
        return None
    authors = packaged_json("authors_answers.json")
    columns = ("all_answers", "one_answer", "true_sentences", "chance")
    name = words(f"{authors['dataset']}, the authors' answers")
    cells = (percent(lookup(authors, column, "xsub")) for column in columns)
    rows.append(Row((name, *cells), kind="elsewhere"))
    return Table(
        "words-alone",
        "What the answers alone tell",
        ("benchmark", "all answers of a clip", "the middle one", "true sentences", "chance"),
        tuple(rows),
        "Top-1 accuracy in percent of a bag of words (TF-IDF of words and pairs, logistic "
        "regression), without any skeleton. Near 100, the answers give the label away. Near "
        "chance, they say nothing about it. The last row is not from this run: it is the same "
        "measure of the answers that the paper's authors published.",
    )


def broken_table(scores: dict[str, Any]) -> Table | None:
    """What happened to the samples that the studio broke on purpose."""
    rows = []
    for sample in scores.get("broken") or []:
        noticed = sample["noticed"] or "not noticed"
        rows.append(
            Row(
                (
                    words(sample["sample"]),
                    words(sample["what"]),
                    words(noticed),
                    words(sample["reason"] or "no stage noticed it"),
                )
            )
        )
    if not rows:
        return None
    heads = ("sample", "broken on purpose", "noticed by", "reason given")
    return Table("broken", "What happened to the broken samples", heads, tuple(rows))


def prompt_table(scores: dict[str, Any]) -> Table | None:
    """Every score of the prompts that needs no ground truth."""
    rows = []
    for part, lines in packaged_json("prompt_quality.json").items():
        found = [(line, lookup(scores, "prompts", part, line["score"])) for line in lines]
        for line, value in found:
            if value is not None:
                shown = percent(value) if line["unit"] == "percent" else Cell(f"{value:.1f}", value)
                rows.append(Row((words(line["name"]), shown, words(line["look"]))))
    if not rows:
        return None
    note = (
        "Shares in percent. `c2vl quality` prints the same before any training, "
        "with the crops and answers to look at."
    )
    return Table(
        "prompts",
        "Prompt scores that need no ground truth",
        ("score", "value", "look when"),
        tuple(rows),
        note,
    )


def prompt_facts(scores: dict[str, Any]) -> list[tuple[str, str]]:
    """(number, meaning) of the prompt scores that need no ground truth."""
    crop, answers = (
        lookup(scores, "prompts", "crop") or {},
        lookup(scores, "prompts", "answers") or {},
    )
    facts: list[tuple[str, str]] = []
    if crop.get("frames"):
        facts.append(
            (
                f"{crop['statuses'].get('ok', 0) / crop['frames'] * 100:.1f} %",
                f"of {crop['frames']:,} frames gave a crop",
            )
        )
    if crop.get("coverage") is not None:
        facts.append(
            (
                f"{crop['coverage'] * 100:.1f} %",
                "of the tracked joints lie where the detector found people",
            )
        )
    if crop.get("boxes") is not None:
        facts.append((f"{crop['boxes']:.1f}", "people found a frame"))
    if crop.get("fallbacks"):
        facts.append(
            (
                f"{crop['fallbacks'] * 100:.1f} %",
                "of the crops are fallbacks: nobody of the action was found in the frame",
            )
        )
    if others := lookup(scores, "prompts", "other_people", "clips"):
        facts.append(
            (
                f"{others:,}",
                "clips show people elsewhere than the skeleton; videos may be swapped "
                "(see `c2vl quality`)",
            )
        )
    if answers.get("answers"):
        facts.append((f"{answers['words']:.0f}", "words an answer"))
        facts.append((f"{answers['distinct'] * 100:.1f} %", "of the answers are distinct"))
        facts.append((f"{answers['names_a_class'] * 100:.1f} %", "name a class word for word"))
        if answers["empty"] or answers["unfinished"]:
            facts.append(
                (
                    f"{answers['empty'] * 100:.1f} % / {answers['unfinished'] * 100:.1f} %",
                    "empty / cut off",
                )
            )
    return facts


def answer_confusions(
    outputs: PipelineOutputs,
) -> tuple[list[Plot], list[tuple[str, str, float, int]]]:
    """Confusion matrices of object and phrase, and the commonest confusions of phrases."""
    plots, listed = [], []
    for part in ("object", "phrase"):
        table = outputs.confusions.get(part)
        if not table or not table["rows"]:
            continue
        counts = np.asarray(table["counts"], dtype=np.int64)
        heading = {"object": "What the hand holds", "phrase": "What the person is trying to do"}[
            part
        ]
        per = lookup(outputs.scores, "captioner", "per") or "frame"
        caption = f"Percent of the {per}s of each row."
        if part == "phrase" and per == "frame":
            caption += " Some gestures look alike in a single frame."
        plot = confusion(
            [("", counts)],
            table["rows"],
            table["columns"],
            f"answers-{part}",
            heading,
            caption,
            number=True,
        )
        plots += [plot] if plot else []
        if part == "phrase":
            listed = worst(counts, table["rows"], table["columns"])
    return plots, listed
