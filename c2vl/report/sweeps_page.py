"""A page of the results of sweeps: for each, a figure and a table of every number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from c2vl.core.files import write_bytes
from c2vl.report.ablation_tables import table
from c2vl.report.figures.gains import gains
from c2vl.report.figures.sweep import sweep
from c2vl.report.templates import template


def write_page(
    folder: Path,
    summaries: Mapping[str, Mapping[str, Any]],
    head: Mapping[str, Any],
    left_out: Sequence[str] = (),
) -> None:
    """Write `index.html` and `plots/*.png` to `folder`.

    Args:
        folder: to write to.
        summaries: sweeps by name, as in `ablations.json`.
        head: the rest of that file.
        left_out: sweeps and settings that a failed run left out.
    """
    sections = []
    for name, part in summaries.items():
        title = f"{part['title']} ({part['reference']})" if part["reference"] else part["title"]
        plot = sweep(part, name, title, "") if part["axis"] else gains(part, name, title)
        if plot:
            plot.write(folder / "plots")
        of_paper = head.get("dataset") == "ntu60"
        sections.append({"title": title, "plot": plot, "table": table(part, name, paper=of_paper)})
    how = (
        f"Data set {head['dataset']}, joint stream if nothing else is said, {len(head['seeds'])} "
        "seeds if a sweep does not have its own number."
    )
    page = template("sweeps.html").render(sections=sections, how=how, left_out=left_out)
    write_bytes(folder / "index.html", page.encode())
