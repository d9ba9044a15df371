"""Writes the report: one self-contained HTML page, with its tables and plots beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from c2vl.core.files import write_bytes
from c2vl.report import (
    dataset_tables,
    engine_tables,
    extra_tables,
    method_tables,
    paper_tables,
    plots,
    published_results,
    seed_tables,
    stage_times,
    sweeps,
    unseen_classes,
)
from c2vl.report.figures.timings import timings
from c2vl.report.gallery import gallery
from c2vl.report.licences import licences
from c2vl.report.pipeline_outputs import PipelineOutputs, lookup
from c2vl.report.report_params import ReportParams
from c2vl.report.result_table import Table
from c2vl.report.section_summaries import section_summaries
from c2vl.report.style import Plot
from c2vl.report.templates import template


def write_report(
    outputs: PipelineOutputs,
    raw: Path,
    params: ReportParams,
    records: Sequence[Mapping[str, Any]],
    settings: str,
    out: Path,
) -> dict[str, Any]:
    """Write `index.html`, `plots/*.png` and `tables/*.{csv,md,tex}` to `out`.

    Args:
        outputs: outputs of the other stages.
        raw: folder of the videos, for the gallery.
        params: what to show.
        records: `runlog.records()` of this machine.
        settings: text of `params.yaml`.
        out: folder to write to.

    Returns:
        The size of the page in `bytes`, and its number of `plots`, `tables` and `cards`.

    Raises:
        UserError: the index or the metrics are missing, or are not readable.
    """
    gathered = gather(outputs, raw, params, records, settings)
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
        *gathered["unseen_tables"],
    ]
    for plot in drawn:
        plot.write(out / "plots")
    for table in tables:
        table.write(out / "tables")
    cards = len(gathered["gallery"]) + len(gathered["failures"])
    return {"bytes": len(content), "plots": len(drawn), "tables": len(tables), "cards": cards}


def gather(
    outputs: PipelineOutputs,
    raw: Path,
    params: ReportParams,
    records: Sequence[Mapping[str, Any]],
    settings: str,
) -> dict[str, Any]:
    """Everything the template shows, by name; arguments as `write_report`."""
    benchmarks = outputs.benchmarks  # first, because it raises if there are no metrics
    typical, failed = gallery(outputs, raw, params)
    answer_plots, confused = engine_tables.answer_confusions(outputs)
    of_unseen = unseen_classes.results(outputs, settings)
    return {
        "dataset": outputs.dataset_name,
        "demo": outputs.dataset == "studio",
        "truth": bool(outputs.scores.get("truth")),
        "benchmarks": benchmarks,
        "verdicts": [
            *method_tables.other_objective(settings),
            *(method_tables.verdict(outputs, benchmark) for benchmark in benchmarks),
        ],
        "sections": section_summaries(outputs, records),
        "over_seeds": seed_tables.verdicts(outputs.compare),
        "versus": plots.method_comparison(outputs),
        "versus_stacked": plots.method_comparison(outputs, stacked=True),
        "seeds": seed_tables.compare_plot(outputs.compare),
        "facts": dataset_tables.facts(outputs),
        "excluded": dataset_tables.excluded(outputs),
        "classes": dataset_tables.class_counts(outputs),
        "gallery": typical,
        "failures": failed,
        "failed_frames": _failed_frames(outputs.scores),
        "prompts": engine_tables.prompt_facts(outputs.scores),
        "answer_plots": answer_plots,
        "confused": confused,
        "figures": {
            benchmark: plots.benchmark_plots(outputs, benchmark, params) for benchmark in benchmarks
        },
        "tables": {
            "splits": dataset_tables.split_table(outputs),
            "engines": engine_tables.engine_table(outputs.scores),
            "prompts": engine_tables.prompt_table(outputs.scores),
            "words": engine_tables.words_alone_table(outputs.scores),
            "broken": engine_tables.broken_table(outputs.scores),
            "methods": method_tables.methods_table(outputs, benchmarks),
            "streams": method_tables.streams_table(outputs, benchmarks),
            "video_skeletons": method_tables.video_table(outputs, benchmarks),
            "compare": seed_tables.compare_table(outputs.compare),
            "zero_shot": extra_tables.zero_shot_table(outputs),
            "published_linear": published_results.linear_elsewhere(outputs),
            "retrieval": extra_tables.retrieval_table(outputs),
            "calibration": extra_tables.calibration_table(outputs),
            "stages": stage_times.stage_table(records),
        },
        "paper_tables": paper_tables.paper_tables(outputs),
        "paper": bool(paper_tables.paper_numbers(outputs.dataset)),
        "unseen": unseen_classes.sentence(of_unseen),
        "unseen_tables": unseen_classes.tables(outputs, of_unseen),
        "sweep_tables": sweeps.sweep_tables(outputs),
        "sweep_plots": sweeps.sweep_plots(outputs),
        "sweeps_missing": sweeps.missing(outputs),
        "timing": timings(records),
        "total": stage_times.total(records),
        "longest": max((float(record["seconds"]) for record in records), default=0.0) or 1.0,
        "settings": settings,
        "licences": licences(outputs.dataset, settings, outputs.filmed, outputs.videos_alone),
        "missing": outputs.missing,
    }


def render(gathered: Mapping[str, Any]) -> str:
    """The page as HTML. All text is escaped; only the SVG drawings of this package are not."""
    return template("template.html").render(gathered)


def _failed_frames(scores: Mapping[str, Any]) -> int:
    statuses = lookup(scores, "prompts", "crop", "statuses") or {}
    return sum(count for status, count in statuses.items() if status != "ok")
