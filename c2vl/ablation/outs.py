"""The sweeps' results as JSON, CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from c2vl.ablation.declared import Sweep
from c2vl.ablation.runs import Metrics
from c2vl.files import write_bytes, write_json

PROTOCOLS = ("linear", "knn")
COLUMNS = ["sweep", "setting", "x", "split", "benchmark", "protocol", "mean", "std", "seeds", "paper"]


def summary(sweep: Sweep, runs: Mapping[tuple[str, str], Sequence[Metrics]]) -> dict[str, Any]:
    """Top 1 of every setting over the seeds.

    Args:
        sweep: the declared sweep.
        runs: by (setting, benchmark), the metrics of every seed.

    Returns:
        `title, reference, split, axis, benchmarks` and `rows`, a list of `name, x, paper` and
        `results[benchmark][protocol] = {mean, std, values}`, shares in 0…1; std is the sample standard deviation.
    """
    rows = []
    for setting in sweep.settings:
        results: dict[str, dict[str, Any]] = {}
        for benchmark in sweep.benchmarks:
            seeds = runs[setting.name, benchmark]
            results[benchmark] = {protocol: _spread([run[protocol]["top1"] for run in seeds]) for protocol in PROTOCOLS}
        rows.append({"name": setting.name, "x": setting.x, "paper": setting.paper, "results": results})
    told = {"title": sweep.title, "reference": sweep.reference, "split": sweep.split, "axis": sweep.axis}
    return {**told, "benchmarks": sweep.benchmarks, "rows": rows}


def _spread(values: list[float]) -> dict[str, Any]:
    return {
        "mean": float(np.mean(values)),
        "std": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "values": [float(value) for value in values],
    }


def write_outs(folder: Path, summaries: Mapping[str, Mapping[str, Any]], head: Mapping[str, Any]) -> str:
    """Publish `ablations.json`, `.csv`, `.md` and `.tex`; return the Markdown."""
    text = "\n".join(markdown(each) for each in summaries.values())
    write_json(folder / "ablations.json", {**head, "sweeps": summaries})
    write_bytes(folder / "ablations.csv", table_csv(summaries).encode())
    write_bytes(folder / "ablations.md", text.encode())
    write_bytes(folder / "ablations.tex", "\n".join(latex(each) for each in summaries.values()).encode())
    return text


def _head(part: Mapping[str, Any]) -> list[str]:
    paper = [f"paper {benchmark}" for benchmark in _with_paper(part)]
    return ["setting", *(f"{benchmark} {protocol}" for benchmark in part["benchmarks"] for protocol in PROTOCOLS), *paper]


def _with_paper(part: Mapping[str, Any]) -> list[str]:
    return [name for name in part["benchmarks"] if any(name in row["paper"] for row in part["rows"])]


def _cells(part: Mapping[str, Any], row: Mapping[str, Any], plus: str) -> list[str]:
    ours = [row["results"][benchmark][protocol] for benchmark in part["benchmarks"] for protocol in PROTOCOLS]
    paper = [f"{row['paper'][name]:.1f}" if name in row["paper"] else "" for name in _with_paper(part)]
    return [*(_percent(spread, plus) for spread in ours), *paper]


def _percent(spread: Mapping[str, Any], plus: str) -> str:
    mean = f"{100 * spread['mean']:.1f}"
    return mean if spread["std"] is None else f"{mean} {plus} {100 * spread['std']:.1f}"


def _note(part: Mapping[str, Any]) -> str:
    what = "held-out training subjects" if part["split"] == "validation" else "test clips"
    paper = "; the paper's columns are its own, on NTU RGB+D 60" if _with_paper(part) else ""
    return f"Top-1 accuracy in percent on {what}, last epoch, mean ± standard deviation over the seeds{paper}."


def markdown(part: Mapping[str, Any]) -> str:
    """One sweep as a Markdown table."""
    head = _head(part)
    reference = f" ({part['reference']})" if part["reference"] else ""
    lines = [f"### {part['title']}{reference}", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [f"| {' | '.join([row['name'], *_cells(part, row, '±')])} |" for row in part["rows"]]
    return "\n".join([*lines, "", _note(part), ""])


def latex(part: Mapping[str, Any]) -> str:
    """One sweep as a LaTeX table (package booktabs)."""
    head = _head(part)
    body = [" & ".join(map(_escaped, [row["name"], *_cells(part, row, r"$\pm$")])) + r" \\" for row in part["rows"]]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{_escaped(part['title'])}. {_escaped(_note(part))}}}",
            rf"\begin{{tabular}}{{l{'c' * (len(head) - 1)}}}",
            r"\toprule",
            " & ".join(map(_escaped, head)) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _escaped(text: str) -> str:
    for plain, told in (("&", r"\&"), ("%", r"\%"), ("_", r"\_"), ("±", r"$\pm$"), ("²", r"$^2$"), ("→", r"$\to$")):
        text = text.replace(plain, told)
    for plain, told in (("α", r"$\alpha$"), ("β", r"$\beta$"), ("τ", r"$\tau$")):
        text = text.replace(plain, told)
    return text


def table_csv(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """Every number of every sweep, one row each."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for name, part in summaries.items():
        for row in part["rows"]:
            for benchmark, protocols in row["results"].items():
                for protocol, spread in protocols.items():
                    where = {"sweep": name, "setting": row["name"], "x": row["x"], "split": part["split"]}
                    found = {"mean": f"{spread['mean']:.6f}", "seeds": len(spread["values"])}
                    found |= {"std": "" if spread["std"] is None else f"{spread['std']:.6f}"}
                    paper = row["paper"].get(benchmark, "") if protocol == "linear" else ""
                    writer.writerow({**where, "benchmark": benchmark, "protocol": protocol, **found, "paper": paper})
    return out.getvalue()
