"""Tables VI to VIII, Figure 6 and further sweeps of `ablations.yaml`, numbered as in the paper."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from c2vl.report.ablation_tables import table
from c2vl.report.figures.sweep import sweep
from c2vl.report.packaged import packaged_json
from c2vl.report.pipeline_outputs import PipelineOutputs
from c2vl.report.result_table import Table
from c2vl.report.style import Plot

ROMAN = {"VI": 6, "VII": 7, "VIII": 8}
PAPERS_DATASET = "ntu60"  # the data set of the paper's ablations


def sweep_tables(outputs: PipelineOutputs) -> list[Table]:
    """Tables of the sweeps without an axis, the paper's first and in its order.

    The paper's columns appear on the paper's own data set only.
    """
    found = []
    for name, part in _sweeps(outputs, axis=False):
        number = _number(r"Table ([IVX]+)", part)
        marks = packaged_json("ablation_marks.json").get(name, {})
        laid_out = table(
            part,
            f"table-{ROMAN[number]}-{name}" if number in ROMAN else f"sweep-{name}",
            marks.get("heads", ()),
            marks.get("rows"),
            paper=outputs.dataset == PAPERS_DATASET,
        )
        note = f"{laid_out.note} {_how(outputs.ablations)}"
        if number in ROMAN:
            title = f"{_lowered(part['title'])}, {outputs.dataset_name}"
            laid_out = replace(laid_out, title=title, number=f"Table {number}", note=note)
        else:
            laid_out = replace(laid_out, title=part["title"], note=note)
        found.append((ROMAN.get(number, 99), laid_out))
    return [laid_out for _, laid_out in sorted(found, key=lambda pair: pair[0])]


def sweep_plots(outputs: PipelineOutputs) -> list[Plot]:
    """Plots of the sweeps along an axis: Figure 6a is α, 6b is β."""
    found = []
    for name, part in _sweeps(outputs, axis=True):
        number = _number(r"Fig\. (\w+)", part)
        file, title = (
            (f"figure-{number}-{name}", f"Figure {number}: ") if number else (f"sweep-{name}", "")
        )
        title += _lowered(part["title"]) if number else part["title"]
        plot = sweep(part, file, f"{title}, {outputs.dataset_name}", _how(outputs.ablations))
        found += [plot] if plot else []
    return found


def missing(outputs: PipelineOutputs) -> str:
    """How to run the ablations if they were not run; otherwise empty."""
    if outputs.ablations:
        return ""
    return (
        "Tables VI to VIII and Figure 6 need further trainings. In the demo, run `make ablations`; "
        "elsewhere `python stages/ablations.py`, then `dvc repro -f -s report`."
    )


def _sweeps(outputs: PipelineOutputs, axis: bool) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, part in (outputs.ablations.get("sweeps") or {}).items():
        if bool(part.get("axis")) == axis and part["rows"]:
            yield name, part


def _number(pattern: str, part: Mapping[str, Any]) -> str:
    found = re.fullmatch(pattern, part.get("reference") or "")
    return found[1] if found else ""


def _how(ablations: Mapping[str, Any]) -> str:
    base = ", ".join(f"{name} {value}" for name, value in (ablations.get("base") or {}).items())
    changed = f"; trained with {base}" if base else ""
    seeds = len(ablations["seeds"])
    count = f"{seeds} {'seeds' if seeds > 1 else 'seed'}"
    return f"{ablations['stream'].capitalize()} stream, {count}{changed}."


def _lowered(title: str) -> str:
    return title[:1].lower() + title[1:]
