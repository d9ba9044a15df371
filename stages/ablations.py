"""Run the sweeps of `ablations.yaml`: Tables VI-VIII, Fig. 6 and questions the paper leaves open.

`make ablations` runs it; it is not a stage of `dvc.yaml`. Each setting changes a few places of
section `pretrain` of `params.yaml`. A sweep runs on those of its benchmarks that `data.benchmarks`
has. Writes to `results/ablations`:

- `ablations.json`: `data` (its fingerprint), `dataset`, `stream`, `seeds`, `base`, and
  `sweeps[name]` as `c2vl.experiments.ablation.ablation_files.summary` returns it;
  the same as `.csv`, `.md`, `.tex`, and as a page, `index.html`, with `plots/*.png`
- `runs/`: one file for each finished run, so that a stopped script continues with the next run

`--again` computes finished runs again, for example after a change of code.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from c2vl.core.errors import UserError, one_sentence
from c2vl.core.params import load_section
from c2vl.core.runlog import logged

DATA, OUT, DECLARED = Path("data"), Path("results/ablations"), Path("ablations.yaml")


@one_sentence
def main() -> None:
    """Run the sweeps and write their tables."""
    parser = argparse.ArgumentParser(description="Run the sweeps that ablations.yaml declares.")
    parser.add_argument("sweeps", nargs="*", help="names of sweeps (default: all)")
    parser.add_argument(
        "--file", type=Path, default=DECLARED, help="the declared sweeps (default: ablations.yaml)"
    )
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder to write (default: {OUT})")
    parser.add_argument("--seeds", type=int, help="seeds a setting (default: the file's)")
    parser.add_argument("--again", action="store_true", help="compute finished runs again")
    arguments = parser.parse_args()

    from c2vl.core.layout_file import read_layout
    from c2vl.core.tables.fingerprint import data_fingerprint
    from c2vl.datasets.data_params import DataParams
    from c2vl.evaluation.evaluate_params import EvaluateParams
    from c2vl.experiments.ablation.ablation_files import summary, write_outputs
    from c2vl.experiments.ablation.declared import applied, read_ablations
    from c2vl.experiments.ablation.planned import planned
    from c2vl.experiments.ablation.runs import run_all
    from c2vl.report.sweeps_page import write_page
    from c2vl.training.training_params import PretrainParams

    data = load_section("data", DataParams)
    declared = read_ablations(arguments.file).of(data)
    if not declared.sweeps:
        raise UserError(
            f"{arguments.file} has no sweep on {' or '.join(data.benchmarks)}; "
            "add it to a sweep's `benchmarks`."
        )
    unknown = set(arguments.sweeps) - declared.sweeps.keys()
    if unknown:
        raise UserError(
            f"{arguments.file} has no sweep '{min(unknown)}'; it has {', '.join(declared.sweeps)}."
        )
    chosen = {
        name: sweep
        for name, sweep in declared.sweeps.items()
        if not arguments.sweeps or name in arguments.sweeps
    }
    out: Path = arguments.out
    if arguments.seeds:
        declared = declared.model_copy(update={"seeds": arguments.seeds})
        chosen = {name: one.model_copy(update={"seeds": None}) for name, one in chosen.items()}
    base = applied(
        load_section("pretrain", PretrainParams).on(read_layout(DATA)),
        declared.base,
        f"{arguments.file}, `base`",
    )
    protocols = load_section("evaluate", EvaluateParams)
    content = data_fingerprint(DATA)
    with logged("ablations"):
        plan = planned(chosen, declared, base, content, protocols, str(arguments.file))
        runs = run_all(plan.jobs, DATA, declared.stream, protocols, out / "runs", arguments.again)
        summaries: dict[str, Any] = {}
        left_out: list[str] = []
        for name, sweep in chosen.items():
            found = {
                (setting, benchmark): [runs[key] for key in of if key in runs]
                for (where, setting, benchmark), of in plan.keys.items()
                if where == name
            }
            lacking = {
                place[0] for place, of in found.items() if len(of) < len(plan.keys[name, *place])
            }
            left_out += [f"{name}, {setting}" for setting in sorted(lacking)]
            if whole := sweep.without(lacking):
                summaries[name] = summary(whole, found)
        head = {
            "data": content,
            "dataset": data.dataset,
            "stream": declared.stream,
            "seeds": list(range(base.seed, base.seed + declared.seeds)),
            "base": declared.base,
        }
        print(write_outputs(out, summaries, head))
        write_page(out, summaries, head, left_out)
    for place in left_out:
        print(f"left out, because a run failed: {place}")
    print(f"page: {out / 'index.html'}")


if __name__ == "__main__":
    main()
