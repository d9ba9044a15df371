"""Compare C²VL, InfoNCE, supervised and random encoders over several seeds.

`make compare` runs it; it is not a stage of `dvc.yaml`. Writes to `results/compare`:

- `compare.json`: `data` (its fingerprint), `seeds`, and `cells`, each with `benchmark`,
  `stream`, and `methods` and `gain` as
  `c2vl.experiments.compare.summarise` returns them
- `compare.md`: the same as tables
- `runs/`: one file for each finished run, so that a stopped script continues with the next run

`--again` computes finished runs again, for example after a change of code.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2vl.core.errors import one_sentence
from c2vl.core.params import load_section
from c2vl.core.progress import progress
from c2vl.core.runlog import logged
from c2vl.experiments.side_by_side import side_by_side
from c2vl.models.streams import STREAMS

if TYPE_CHECKING:
    from c2vl.models.streams import Stream
    from c2vl.training.checkpoint import Method

DATA, OUT = Path("data"), Path("results/compare")
METHODS: tuple[Method, ...] = ("c2vl", "infonce", "supervised", "random")


def compare(
    benchmarks: list[str], streams: list[Stream], seeds: int, again: bool
) -> dict[str, Any]:
    """Run what is not finished yet, in parallel, and return the summary."""
    from c2vl.core.layout_file import read_layout
    from c2vl.core.tables.fingerprint import data_fingerprint
    from c2vl.evaluation.evaluate_params import EvaluateParams
    from c2vl.experiments.ablation.run_method import run_method
    from c2vl.experiments.compare import finished, keep, run_key, summarise
    from c2vl.training.training_params import BaselinesParams, PretrainParams

    params, baselines = (
        load_section("pretrain", PretrainParams).on(read_layout(DATA)),
        load_section("baselines", BaselinesParams),
    )
    protocols = load_section("evaluate", EvaluateParams)
    settings = [
        section.model_dump(mode="json", exclude={"seed"}) for section in (params, baselines)
    ]
    settings.append(protocols.model_dump(mode="json"))
    content = data_fingerprint(DATA)
    found, todo, keys = {}, {}, {}
    seed_list = list(range(params.seed, params.seed + seeds))
    for benchmark, stream, method, seed in itertools.product(
        benchmarks, streams, METHODS, seed_list
    ):
        name = f"{benchmark}-{stream}-{method}-{seed}"
        keys[name] = run_key(settings, content, benchmark, stream, method, seed)
        kept = None if again else finished(OUT / "runs" / f"{name}.json", keys[name])
        if kept is None:
            seeded = params.model_copy(update={"seed": seed})
            todo[name] = (method, seeded, DATA, benchmark, stream, baselines, protocols)
        else:
            found[name] = kept
    print(f"{len(keys)} runs: {len(found)} kept from before, {len(todo)} to do", flush=True)
    for name, run in progress(side_by_side(todo, run_method), "compare", "runs", len(todo)):
        keep(OUT / "runs" / f"{name}.json", keys[name], run)
        found[name] = run
    for name in keys:
        accuracies = ", ".join(
            f"{protocol} {100 * values['top1']:.1f} %"
            for protocol, values in sorted(found[name].metrics.items())
        )
        print(f"{name}: {accuracies}")
    cells = []
    for benchmark, stream in itertools.product(benchmarks, streams):
        place = f"{benchmark}-{stream}"
        runs: dict[str, Any] = {
            method: [found[f"{place}-{method}-{seed}"] for seed in seed_list] for method in METHODS
        }
        cells.append({"benchmark": benchmark, "stream": stream, **summarise(runs)})
    return {"data": content, "seeds": seed_list, "cells": cells}


@one_sentence
def main() -> None:
    """Compare the methods and write the summary."""
    parser = argparse.ArgumentParser(
        description="Compare C²VL with its baselines over several seeds."
    )
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds (default: 5)")
    parser.add_argument("--benchmarks", nargs="+", help="default: those of params.yaml")
    parser.add_argument("--streams", nargs="+", choices=STREAMS, default=["joint"])
    parser.add_argument("--again", action="store_true", help="compute finished runs again")
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        parser.error("--seeds must be at least 1")

    from c2vl.core.files import write_bytes, write_json
    from c2vl.datasets.data_params import DataParams
    from c2vl.experiments.compare import markdown

    benchmarks = arguments.benchmarks or load_section("data", DataParams).benchmarks
    streams = [known for known in STREAMS if known in arguments.streams]
    with logged("compare"):
        summary = compare(benchmarks, streams, arguments.seeds, arguments.again)
        write_json(OUT / "compare.json", summary)
        text = "\n".join(
            markdown(cell, f"{cell['benchmark']}, {cell['stream']} stream, {arguments.seeds} seeds")
            for cell in summary["cells"]
        )
        write_bytes(OUT / "compare.md", text.encode())
        print(text)


if __name__ == "__main__":
    main()
