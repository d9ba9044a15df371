"""Zero-shot recognition of classes that no training has seen: one table a family of protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import yaml

from c2vl.core.files import read_json
from c2vl.report.pipeline_outputs import PipelineOutputs, lookup
from c2vl.report.published_results import number, published, unconfirmed
from c2vl.report.result_table import Row, Table, percent, words

DRAWN = "drawn"
SETTINGS = {
    "label_free": ("C²VL, label-free", "none"),
    "labels": ("C²VL and an alignment head", "of seen classes"),
}
COLUMNS = (
    "method",
    "labels",
    "encoder",
    "split",
    *("ZSL", "GZSL seen", "GZSL unseen", "GZSL harmonic mean"),
)
NUMBERS = (("zsl", "top1"), ("gzsl", "seen"), ("gzsl", "unseen"), ("gzsl", "harmonic"))
Result = Mapping[str, Any]


def results(outputs: PipelineOutputs, settings: str) -> list[Result]:
    """`zero_shot.json` of every split that `zero_shot` of params.yaml names, in its order.

    Folders of other splits may still lie there; they do not count. Splits that could not be run are
    named in `outputs.missing`.

    Args:
        outputs: outputs of the stages.
        settings: text of params.yaml.
    """
    params = yaml.safe_load(settings) or {}
    section = params.get("zero_shot") if isinstance(params, dict) else None
    found = []
    benchmarks = ((params.get("data") or {}).get("benchmarks") or []) if section else []
    for benchmark in benchmarks[:1]:  # as dvc.yaml says
        for split in (section or {}).get("splits") or ():
            path = outputs.root / f"results/zero_shot/{benchmark}-{split}/zero_shot.json"
            result = read_json(path) if path.exists() else {}
            absent = result.get("absent")
            if absent and absent not in outputs.missing:
                outputs.missing.append(absent)
            if lookup(result, "split", "dataset") == outputs.dataset:
                found.append(result)
    return found


def tables(outputs: PipelineOutputs, found: Sequence[Result]) -> list[Table]:
    """A table for each family and benchmark; families are never mixed."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in found:
        key = result["split"]["family"], result["split"]["benchmark"]
        groups.setdefault(key, []).append(result)
    return [_table(outputs, *key, group) for key, group in groups.items()]


def _table(outputs: PipelineOutputs, family: str, benchmark: str, group: Sequence[Result]) -> Table:
    rows: list[Row] = []
    by_size: dict[str, list[Result]] = {}
    for result in group:
        by_size.setdefault(_series(result["split"]), []).append(result)
    for results_of_size in by_size.values():
        rows += _rows(outputs, results_of_size, bool(rows))
    first = group[0]
    elsewhere = any(row.kind == "elsewhere" for row in rows)
    note = (
        "Accuracy in percent on test clips. ZSL: clips of unseen classes among the unseen ones. "
        "GZSL: all clips among all classes, with a constant taken off the seen classes' scores "
        "that was chosen on held-out seen classes. No clip of an unseen class trained the "
        "encoder or a head. Label-free: pretrained on clips of the seen classes without labels; we "
        "know of no other work that reports this. An alignment head trained with the labels of "
        "seen clips on the frozen encoder is the field's setting."
        + (" Rows with a venue are published, not measured here." if elsewhere else "")
        + unconfirmed(rows)
    )
    title = f"unseen classes: {first['split']['title']}, {outputs.dataset_name} {benchmark}"
    return Table(f"unseen-{family}-{benchmark}", title, COLUMNS, tuple(rows), note)


def _series(split: Mapping[str, Any]) -> str:
    """What splits have to share so that they are averaged: `smie-55-5` of `smie-55-5-2`."""
    name = str(split["name"])
    if split["family"] in (DRAWN, "random"):
        return name.rpartition("-")[0]
    return name


def _rows(outputs: PipelineOutputs, group: Sequence[Result], rule: bool) -> list[Row]:
    sizes = group[0]["split"]
    size = f"{sizes['seen']}/{len(sizes['unseen'])}"
    chance = (words("chance"), words(""), words(""), words(size))
    ends = (percent(None),) * 3
    rows = [Row((*chance, percent(1 / len(sizes["unseen"])), *ends), "baseline", rule)]
    for entry in published("zero_shot", outputs.dataset):
        value = entry["values"].get(sizes["name"])
        if value is not None and entry["benchmark"] == sizes["benchmark"]:
            whose = words(f"{entry['method']} ({entry['venue']})"), words("of seen classes")
            how = words(entry["encoder"] or "–"), words(size)
            rows.append(Row((*whose, *how, number(value), *ends), "elsewhere"))
    for setting, (method, labels) in SETTINGS.items():
        values = [
            [float(lookup(result, setting, *path)) for path in NUMBERS]
            for result in group
            if setting in result
        ]
        head = (words(method), words(labels), words(outputs.encoder))
        for result, numbers in zip([r for r in group if setting in r], values, strict=True):
            name = words(f"{size}, {result['split']['name']}")
            rows.append(Row((*head, name, *map(percent, numbers))))
        if len(values) > 1:
            means, spread = np.mean(values, axis=0), np.std(values, axis=0, ddof=1)
            cells = [
                percent(float(mean), spread=float(deviation))
                for mean, deviation in zip(means, spread, strict=True)
            ]
            rows.append(Row((*head, words(f"{size}, mean of {len(values)}"), *cells), "head"))
    return rows


def sentence(found: Sequence[Result]) -> str:
    """The result in one sentence, of the first family; empty if there is none."""
    if not found:
        return ""
    split = found[0]["split"]
    family = [result for result in found if _series(result["split"]) == _series(split)]
    parts = []
    for setting, words_for in (
        ("label_free", "without any label"),
        ("labels", "with an alignment head trained on labels of seen classes"),
    ):
        values = [float(r[setting]["zsl"]["top1"]) for r in family if setting in r]
        if values:
            parts.append(f"{np.mean(values) * 100:.0f} % {words_for}")
    over = f", mean of {len(family)} draws" if len(family) > 1 else ""
    unseen = len(split["unseen"])
    return (
        f"Among {unseen} classes that no training has seen, the test clips are recognised "
        f"correctly: {' and '.join(parts)} (chance {100 / unseen:.0f} %{over})."
    )
