"""The comparison over seeds: mean ± standard deviation of each method, and the gain of C²VL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from c2vl.report.figures.seeds import Runs, seeds
from c2vl.report.method_tables import METHODS
from c2vl.report.pipeline_outputs import lookup
from c2vl.report.result_table import Cell, Row, Table, percent, signed, words
from c2vl.report.style import Plot

COLUMNS = (("linear", "linear"), ("knn", "KNN"), ("end_to_end", "its own classifier"))


def compare_table(compare: Mapping[str, Any]) -> Table | None:
    """Top-1 of every method, benchmark and stream, mean ± standard deviation over the seeds."""
    rows: list[Row] = []
    for part in compare.get("cells") or ():
        of = words(part["benchmark"]), words(part["stream"])
        for method, name in METHODS.items():
            if method in part["methods"]:
                cells = _cells(part["methods"][method])
                rows.append(
                    Row((words(name), *of, *cells), "ours" if method == "c2vl" else "baseline")
                )
        if part.get("gain"):
            rows.append(
                Row(
                    (
                        words("C²VL − InfoNCE, seed by seed"),
                        *of,
                        *_cells(part["gain"], plus=True),
                    ),
                    "head",
                )
            )
    if not rows:
        return None
    count = len(compare["seeds"])
    return Table(
        "compare",
        f"Methods over {count} {'seeds' if count > 1 else 'seed'}",
        ("method", "benchmark", "stream", *(head for _, head in COLUMNS)),
        tuple(rows),
        "Top-1 accuracy in percent on test clips, last epoch: mean [95 % interval over seeds and "
        "people], paired by seed and clip in the difference; without it ± is the deviation. A "
        "seed changes the initial weights, the order of the clips and the augmentation; the split "
        "stays the same.",
    )


def _cells(protocols: Mapping[str, Any], plus: bool = False) -> list[Cell]:
    found = [lookup(protocols, protocol, "top1") for protocol, _ in COLUMNS]
    cells = [
        percent(None)
        if spread is None
        else percent(spread["mean"], spread=spread["std"], ends=spread.get("interval"))
        for spread in found
    ]
    return [signed(cell) for cell in cells] if plus else cells


def compare_plot(compare: Mapping[str, Any]) -> Plot | None:
    """Every seed of every method as a dot."""
    runs: dict[str, Runs] = {}
    for part in compare.get("cells") or ():
        named = {
            method: lookup(part["methods"], method, "linear", "top1", "values")
            for method in METHODS
        }
        runs[f"{part['benchmark']}, {part['stream']} stream"] = {
            method: values for method, values in named.items() if values
        }
    return seeds(runs, METHODS)


def verdicts(compare: Mapping[str, Any]) -> list[str]:
    """One sentence for each benchmark and stream that compares C²VL with InfoNCE over the seeds."""
    sentences = []
    for part in compare.get("cells") or ():
        gain = lookup(part, "gain", "linear", "top1")
        if gain is None:
            continue
        wins, count = sum(value > 0 for value in gain["values"]), len(gain["values"])
        many = "seeds" if count > 1 else "seed"
        deviation = "" if gain["std"] is None else f" ± {gain['std'] * 100:.1f}"
        change = f"{abs(gain['mean']) * 100:.1f}{deviation} points"
        ends = gain.get("interval")
        sure = "" if ends is None else _sure(*ends)
        side = "above" if gain["mean"] >= 0 else "below"
        sentences.append(
            f"Over {count} {many} on {part['benchmark']}, {part['stream']} stream, C²VL is "
            f"{change} {side} InfoNCE in linear evaluation, and better in {wins} of {count} {many}."
            f"{sure}"
        )
    return sentences


def _sure(low: float, high: float) -> str:
    """What the 95 % interval of the difference says."""
    found = f" Its 95 % interval is {low * 100:.1f} to {high * 100:.1f} points"
    return f"{found}." if low > 0 or high < 0 else f"{found}: undecided."
