"""Tables VI to VIII and Fig. 6: the sweeps of `ablations.yaml`, as the paper numbers them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from c2vl.report.ablation_tables import table
from c2vl.report.figures.sweep import sweep
from c2vl.report.pipeline_outputs import Outs
from c2vl.report.result_table import Table
from c2vl.report.seen import packaged
from c2vl.report.style import Plot

ROMAN = {"VI": 6, "VII": 7, "VIII": 8}
SAME = "ntu60"  # the data set of the paper's ablations


def sweep_tables(outs: Outs) -> list[Table]:
    """Each sweep without an axis, those of the paper first and in its order; the paper's columns on its own data set only."""
    found = []
    for name, part in _sweeps(outs, axis=False):
        number = _number(r"Table ([IVX]+)", part)
        marks = packaged("ablation_marks.json").get(name, {})
        laid_out = table(
            part,
            f"table-{ROMAN[number]}-{name}" if number in ROMAN else f"sweep-{name}",
            marks.get("heads", ()),
            marks.get("rows"),
            paper=outs.dataset == SAME,
        )
        note = f"{laid_out.note} {_how(outs.ablations)}"
        if number in ROMAN:
            title = f"{_lowered(part['title'])}, {outs.dataset_name}"
            laid_out = replace(laid_out, title=title, number=f"Table {number}", note=note)
        else:
            laid_out = replace(laid_out, title=part["title"], note=note)
        found.append((ROMAN.get(number, 99), laid_out))
    return [laid_out for _, laid_out in sorted(found, key=lambda pair: pair[0])]


def sweep_plots(outs: Outs) -> list[Plot]:
    """Each sweep along an axis: Fig. 6a is α, 6b is β."""
    found = []
    for name, part in _sweeps(outs, axis=True):
        number = _number(r"Fig\. (\w+)", part)
        file, title = (
            (f"figure-{number}-{name}", f"Figure {number}: ") if number else (f"sweep-{name}", "")
        )
        title += _lowered(part["title"]) if number else part["title"]
        plot = sweep(part, file, f"{title}, {outs.dataset_name}", _how(outs.ablations))
        found += [plot] if plot else []
    return found


def missing(outs: Outs) -> str:
    """How to make what is not there; empty if it is."""
    if outs.ablations:
        return ""
    return (
        "Tables VI to VIII and Figure 6 take trainings of their own: `make ablations` in the demo; elsewhere "
        "`python stages/ablations.py`, then `dvc repro -f -s report`."
    )


def _sweeps(outs: Outs, axis: bool) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, part in (outs.ablations.get("sweeps") or {}).items():
        if bool(part.get("axis")) == axis and part["rows"]:
            yield name, part


def _number(pattern: str, part: Mapping[str, Any]) -> str:
    found = re.fullmatch(pattern, part.get("reference") or "")
    return found[1] if found else ""


def _how(ablations: Mapping[str, Any]) -> str:
    base = ", ".join(f"{name} {value}" for name, value in (ablations.get("base") or {}).items())
    changed = f"; trained with {base}" if base else ""
    seeds = len(ablations["seeds"])
    return f"{ablations['stream'].capitalize()} stream, {seeds} {'seeds' if seeds > 1 else 'seed'}{changed}."


def _lowered(title: str) -> str:
    return title[:1].lower() + title[1:]
