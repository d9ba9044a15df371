"""Writes the results of the sweeps as JSON, CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from c2vl.core.files import write_bytes, write_json
from c2vl.experiments.ablation.declared import Sweep
from c2vl.experiments.compare import Run, interval_of
from c2vl.report.ablation_tables import FUSED, PROTOCOLS, table
from c2vl.training.metrics import spread

COLUMNS = [
    "sweep",
    "setting",
    "x",
    "split",
    "benchmark",
    "protocol",
    "mean",
    "std",
    "low",
    "high",
    "gain",
    "gain_low",
    "gain_high",
    "seeds",
    "paper",
]


def summary(sweep: Sweep, runs: Mapping[tuple[str, str], Sequence[Run]]) -> dict[str, Any]:
    """Top-1 accuracy of every setting over the seeds.

    Args:
        sweep: the declared sweep.
        runs: the run of every seed, by (setting, benchmark).

    Returns:
        `title, reference, split, axis, against, benchmarks, protocols` and `rows`, a list of
        `name, x, line, paper` and
        `results[benchmark][protocol] = {mean, std, values, interval, gain}`, shares in 0…1; std is
        the sample standard deviation, `interval` the ends of the 95 % interval, and `gain` the same
        four of the difference from the setting `against` (None for itself), paired by seed and
        clip.
    """
    protocols = [*PROTOCOLS, *(FUSED if sweep.fused else ())]
    rows = []
    for setting in sweep.settings:
        results: dict[str, dict[str, Any]] = {}
        for benchmark in sweep.benchmarks:
            mine = runs[setting.name, benchmark]
            other = runs[sweep.compared(setting), benchmark]
            results[benchmark] = {
                protocol: {
                    **_spread(mine, protocol),
                    "gain": None if mine is other else _spread(mine, protocol, other),
                }
                for protocol in protocols
            }
        shown = {"name": setting.name, "x": setting.x, "line": setting.line}
        rows.append({**shown, "paper": setting.paper, "results": results})
    return {
        "title": sweep.title,
        "reference": sweep.reference,
        "split": sweep.split,
        "axis": sweep.axis,
        "against": sweep.compared_with,
        "benchmarks": sweep.benchmarks,
        "protocols": protocols,
        "rows": rows,
    }


def _spread(
    runs: Sequence[Run], protocol: str, against: Sequence[Run] | None = None
) -> dict[str, Any]:
    """Mean, deviation, values and interval of an accuracy, or of its gain over other runs."""
    values, others = (
        [run.metrics[protocol]["top1"] for run in each] for each in (runs, against or ())
    )
    if against:
        values = [mine - other for mine, other in zip(values, others, strict=True)]
    return {**spread(values), "interval": interval_of(runs, protocol, against)}


def write_outputs(
    folder: Path, summaries: Mapping[str, Mapping[str, Any]], head: Mapping[str, Any]
) -> str:
    """Write `ablations.json`, `.csv`, `.md` and `.tex` to `folder`; return the Markdown.

    Markdown and LaTeX show the paper's columns only if `head["dataset"]` is the paper's, NTU RGB+D
    60.
    """
    laid_out = [
        table(part, name, paper=head.get("dataset") == "ntu60") for name, part in summaries.items()
    ]
    text = "\n".join(each.markdown() for each in laid_out)
    write_json(folder / "ablations.json", {**head, "sweeps": summaries})
    write_bytes(folder / "ablations.csv", table_csv(summaries).encode())
    write_bytes(folder / "ablations.md", text.encode())
    write_bytes(folder / "ablations.tex", "\n".join(each.latex() for each in laid_out).encode())
    return text


def table_csv(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """Every number of every sweep as CSV, one row each."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for name, part in summaries.items():
        for row in part["rows"]:
            for benchmark, protocols in row["results"].items():
                for protocol, accuracy in protocols.items():
                    where = {
                        "sweep": name,
                        "setting": row["name"],
                        "x": row["x"],
                        "split": part["split"],
                    }
                    found = {"mean": f"{accuracy['mean']:.6f}", "seeds": len(accuracy["values"])}
                    found |= {"std": "" if accuracy["std"] is None else f"{accuracy['std']:.6f}"}
                    found |= _ends(accuracy, "low", "high")
                    if gain := accuracy["gain"]:
                        found |= {"gain": f"{gain['mean']:.6f}"}
                        found |= _ends(gain, "gain_low", "gain_high")
                    paper = row["paper"].get(benchmark, "") if protocol == "linear" else ""
                    writer.writerow(
                        {
                            **where,
                            "benchmark": benchmark,
                            "protocol": protocol,
                            **found,
                            "paper": paper,
                        }
                    )
    return out.getvalue()


def _ends(spread: Mapping[str, Any], *names: str) -> dict[str, str]:
    ends = spread["interval"] or ()
    return {name: f"{end:.6f}" for name, end in zip(names, ends, strict=False)}
