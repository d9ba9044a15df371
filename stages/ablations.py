"""Run the sweeps of `ablations.yaml`: Tables VI-VIII, Fig. 6 and questions the paper leaves open.

`make ablations` runs it; it is not a stage of `dvc.yaml`. Each setting changes a few places of
section `pretrain` of `params.yaml`. A sweep runs on those of its benchmarks that `data.benchmarks`
has. Writes to `results/ablations`:

- `ablations.json`: `data` (its fingerprint), `dataset`, `stream`, `seeds`, `base`, and
  `sweeps[name]` as `c2vl.experiments.ablation.ablation_files.summary` returns it;
  the same as `.csv`, `.md`, `.tex`
- `runs/`: one file for each finished run, so that a stopped script continues with the next run

`--again` computes finished runs again, for example after a change of code.
"""

from __future__ import annotations

import argparse
from pathlib import Path

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
    parser.add_argument("--seeds", type=int, help="seeds a setting (default: the file's)")
    parser.add_argument("--again", action="store_true", help="compute finished runs again")
    arguments = parser.parse_args()

    from c2vl.core.layout_file import read_layout
    from c2vl.core.tables.fingerprint import data_fingerprint
    from c2vl.datasets.data_params import DataParams
    from c2vl.evaluation.evaluate_params import EvaluateParams
    from c2vl.experiments.ablation.ablation_files import summary, write_outputs
    from c2vl.experiments.ablation.declared import applied, jobs, read_ablations
    from c2vl.experiments.ablation.runs import key_of, once, run_all
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
    seeds, stream = arguments.seeds or declared.seeds, declared.stream
    base = applied(
        load_section("pretrain", PretrainParams).on(read_layout(DATA)),
        declared.base,
        f"{arguments.file}, `base`",
    )
    protocols = load_section("evaluate", EvaluateParams)
    content = data_fingerprint(DATA)
    with logged("ablations"):
        todo = {}
        keys: dict[tuple[str, str, str], list[str]] = {}
        for name, sweep in chosen.items():
            for setting in sweep.settings:
                for job in jobs(sweep, setting, base, seeds, f"{arguments.file}, sweep {name}"):
                    key = key_of(job, content, stream, protocols)
                    todo[key] = job
                    keys.setdefault((name, setting.name, job.benchmark), []).append(key)
        answers = once(todo, content, stream, protocols)
        needed = {key: todo[key] for key in answers.values()}
        found = run_all(needed, DATA, stream, protocols, OUT / "runs", arguments.again)
        seed_list = list(range(base.seed, base.seed + seeds))
        summaries = {}
        for name, sweep in chosen.items():
            mine = {
                (setting, benchmark): runs
                for (of, setting, benchmark), runs in keys.items()
                if of == name
            }
            summaries[name] = summary(
                sweep,
                {place: [found[answers[key]] for key in runs] for place, runs in mine.items()},
            )
        head = {
            "data": content,
            "dataset": data.dataset,
            "stream": stream,
            "seeds": seed_list,
            "base": declared.base,
        }
        print(write_outputs(OUT, summaries, head))


if __name__ == "__main__":
    main()
