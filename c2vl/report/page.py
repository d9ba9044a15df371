"""The page: everything gathered, written as one self-contained HTML file, with its tables and plots beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from c2vl.files import write_bytes
from c2vl.report import compared, learnt, plots, seen, took, went_in
from c2vl.report.gallery import gallery
from c2vl.report.layout import Table
from c2vl.report.licences import licences
from c2vl.report.outs import Outs, lookup
from c2vl.report.params import ReportParams
from c2vl.report.story import story
from c2vl.report.style import Plot

DATASETS = {
    "studio": "the studio, an embedded world",
    "ntu60": "NTU RGB+D 60",
    "ntu120": "NTU RGB+D 120",
    "pku1": "PKU-MMD I",
    "pku2": "PKU-MMD II",
}


def write_report(
    outs: Outs, raw: Path, params: ReportParams, records: Sequence[Mapping[str, Any]], settings: str, out: Path
) -> dict[str, Any]:
    """Write `index.html`, `plots/*.png` and `tables/*.{csv,md}` to `out`.

    Args:
        outs: outs of the other stages.
        raw: folder of the videos, for the gallery.
        params: what to show.
        records: `runlog.records()` of this machine.
        settings: text of `params.yaml`.
        out: folder to write to.

    Returns:
        `bytes` of the page, and how many `plots`, `tables` and gallery `cards` it has.

    Raises:
        UserError: the index or the metrics are not there.
    """
    gathered = gather(outs, raw, params, records, settings)
    content = render(gathered).encode()
    write_bytes(out / "index.html", content)
    drawn: list[Plot] = [*filter(None, (gathered["versus"], gathered["seeds"], gathered["timing"])), *gathered["answer_plots"]]
    drawn += [plot for of in gathered["figures"].values() for plot in of]
    tables: list[Table] = list(filter(None, gathered["tables"].values()))
    for plot in drawn:
        plot.write(out / "plots")
    for table in tables:
        table.write(out / "tables")
    cards = len(gathered["gallery"]) + len(gathered["failures"])
    return {"bytes": len(content), "plots": len(drawn), "tables": len(tables), "cards": cards}


def gather(outs: Outs, raw: Path, params: ReportParams, records: Sequence[Mapping[str, Any]], settings: str) -> dict[str, Any]:
    """Everything the template shows, by name."""
    benchmarks = outs.benchmarks  # first: without metrics there is nothing to report
    typical, failed = gallery(outs, raw, params)
    answer_plots, confused = seen.answer_confusions(outs)
    return {
        "dataset": DATASETS.get(outs.dataset, outs.dataset),
        "demo": outs.dataset == "studio",
        "truth": bool(outs.scores.get("truth")),
        "benchmarks": benchmarks,
        "verdicts": [learnt.verdict(outs, benchmark) for benchmark in benchmarks],
        "story": story(outs, records),
        "over_seeds": compared.verdicts(outs.compare),
        "versus": plots.against(outs),
        "seeds": compared.compare_plot(outs.compare),
        "facts": went_in.facts(outs),
        "excluded": went_in.excluded(outs),
        "classes": went_in.class_counts(outs),
        "gallery": typical,
        "failures": failed,
        "failed_frames": _failed_frames(outs.scores),
        "prompts": seen.prompt_facts(outs.scores),
        "answer_plots": answer_plots,
        "confused": confused,
        "figures": {benchmark: plots.of_benchmark(outs, benchmark, params) for benchmark in benchmarks},
        "tables": {
            "splits": went_in.split_table(outs),
            "engines": seen.engine_table(outs.scores),
            "words": seen.words_alone_table(outs.scores),
            "broken": seen.broken_table(outs.scores),
            "methods": learnt.methods_table(outs.metrics, benchmarks),
            "streams": learnt.streams_table(outs, benchmarks),
            "compare": compared.compare_table(outs.compare),
            "stages": took.stage_table(records),
        },
        "timing": plots.of_stages(records),
        "total": took.total(records),
        "longest": max((float(record["seconds"]) for record in records), default=0.0) or 1.0,
        "settings": settings,
        "licences": licences(outs.dataset, settings),
        "missing": outs.missing,
    }


def render(gathered: Mapping[str, Any]) -> str:
    """The page; every text in it is escaped but the drawings that this package made."""
    folder = resources.files("c2vl.report") / "data"
    names = ("template.html", "macros.html", "style.css")
    loader = jinja2.DictLoader({name: (folder / name).read_text(encoding="utf-8") for name in names})
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    return environment.get_template("template.html").render(gathered)


def _failed_frames(scores: Mapping[str, Any]) -> int:
    statuses = lookup(scores, "prompts", "crop", "statuses") or {}
    return sum(count for status, count in statuses.items() if status != "ok")
