"""The page: everything gathered, written as one self-contained HTML file, with its tables and plots beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from c2vl.core.files import write_bytes
from c2vl.report import beyond, compared, learnt, paper_tables, plots, seen, sweeps, took, went_in
from c2vl.report.gallery import gallery
from c2vl.report.licences import licences
from c2vl.report.pipeline_outputs import Outs, lookup
from c2vl.report.report_params import ReportParams
from c2vl.report.result_table import Table
from c2vl.report.story import story
from c2vl.report.style import Plot


def write_report(
    outs: Outs,
    raw: Path,
    params: ReportParams,
    records: Sequence[Mapping[str, Any]],
    settings: str,
    out: Path,
) -> dict[str, Any]:
    """Write `index.html`, `plots/*.png` and `tables/*.{csv,md,tex}` to `out`.

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
    drawn: list[Plot] = [
        *filter(None, (gathered["versus"], gathered["seeds"], gathered["timing"])),
        *gathered["answer_plots"],
    ]
    drawn += [plot for of in gathered["figures"].values() for part in of.values() for plot in part]
    drawn += gathered["sweep_plots"]
    tables: list[Table] = [
        *filter(None, gathered["tables"].values()),
        *gathered["paper_tables"],
        *gathered["sweep_tables"],
    ]
    for plot in drawn:
        plot.write(out / "plots")
    for table in tables:
        table.write(out / "tables")
    cards = len(gathered["gallery"]) + len(gathered["failures"])
    return {"bytes": len(content), "plots": len(drawn), "tables": len(tables), "cards": cards}


def gather(
    outs: Outs, raw: Path, params: ReportParams, records: Sequence[Mapping[str, Any]], settings: str
) -> dict[str, Any]:
    """Everything the template shows, by name."""
    benchmarks = outs.benchmarks  # first: without metrics there is nothing to report
    typical, failed = gallery(outs, raw, params)
    answer_plots, confused = seen.answer_confusions(outs)
    return {
        "dataset": outs.dataset_name,
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
        "figures": {
            benchmark: plots.of_benchmark(outs, benchmark, params) for benchmark in benchmarks
        },
        "tables": {
            "splits": went_in.split_table(outs),
            "engines": seen.engine_table(outs.scores),
            "prompts": seen.prompt_table(outs.scores),
            "words": seen.words_alone_table(outs.scores),
            "broken": seen.broken_table(outs.scores),
            "methods": learnt.methods_table(outs, benchmarks),
            "streams": learnt.streams_table(outs, benchmarks),
            "compare": compared.compare_table(outs.compare),
            "zero_shot": beyond.zero_shot_table(outs),
            "retrieval": beyond.retrieval_table(outs),
            "calibration": beyond.calibration_table(outs),
            "stages": took.stage_table(records),
        },
        "paper_tables": paper_tables.paper_tables(outs),
        "paper": bool(paper_tables.of_paper(outs.dataset)),
        "sweep_tables": sweeps.sweep_tables(outs),
        "sweep_plots": sweeps.sweep_plots(outs),
        "sweeps_missing": sweeps.missing(outs),
        "timing": plots.of_stages(records),
        "total": took.total(records),
        "longest": max((float(record["seconds"]) for record in records), default=0.0) or 1.0,
        "settings": settings,
        "licences": licences(outs.dataset, settings, outs.filmed),
        "missing": outs.missing,
    }


def render(gathered: Mapping[str, Any]) -> str:
    """The page; every text in it is escaped but the drawings that this package made."""
    folder = resources.files("c2vl.report") / "data"
    names = ("template.html", "macros.html", "style.css")
    loader = jinja2.DictLoader(
        {name: (folder / name).read_text(encoding="utf-8") for name in names}
    )
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["code"] = _code
    environment.trim_blocks = environment.lstrip_blocks = True
    return environment.get_template("template.html").render(gathered)


def _code(sentence: str) -> Markup:
    """`sentence` escaped, what stands between backticks in it as code."""
    pieces = enumerate(sentence.split("`"))
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if place % 2 else piece for place, piece in pieces
    )


def _failed_frames(scores: Mapping[str, Any]) -> int:
    statuses = lookup(scores, "prompts", "crop", "statuses") or {}
    return sum(count for status, count in statuses.items() if status != "ok")
