"""Stage `zero_shot <benchmark> <split>`: recognition of classes that no training has seen.

Reads `data/index`, `data/skeleton`, `data/class_names` and
`results/zero_shot_pretrain/<benchmark>-<split>`. Protocols and settings: `docs/zero-shot.md`.
Writes `results/zero_shot/<benchmark>-<split>/`:

- `alignment.safetensors`: the head trained with the labels of seen clips, `weight` (width, D),
  `mean` and `scale` (D,), `centre` (width,), float32 (`c2vl/evaluation/zero_shot/alignment.py`);
- `zero_shot.json`: `split` (`name, family, title, source, dataset, classes, unseen, seen, held_out,
  benchmark, stream`), `clips` (`train, test_seen, test_unseen`), `epochs`, and for `label_free` and
  `labels` each `zsl` (`top1, mean_class, chance, clips`), `gzsl` and `gzsl_without_gate` (`seen,
  unseen, harmonic, gate`), shares in 0…1. Where the split was not run it holds only `absent`, a
  sentence that says why.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from c2vl.core.errors import one_sentence
from c2vl.core.params import first_benchmark, load_section
from c2vl.core.runlog import logged
from c2vl.core.stage_arguments import stage_arguments

DATA, RESULTS = Path("data"), Path("results")


@one_sentence
def main() -> None:
    """Evaluate one split on one benchmark."""
    parser = argparse.ArgumentParser(description="Recognise unseen classes by their names.")
    parser.add_argument("benchmark", help="a split column of the index, such as xsub")
    parser.add_argument("split", help="a published split such as synse-55-5, or draw-1")
    arguments = stage_arguments(parser, before=first_benchmark)

    from c2vl.core.files import read_json, write_json
    from c2vl.evaluation.shared_space import class_name_features
    from c2vl.evaluation.zero_shot.evaluate_split import RESULT, Job, evaluate_split
    from c2vl.training.devices import prepare
    from c2vl.training.zero_shot.protocols import NOTE
    from c2vl.training.zero_shot.samples import split_samples
    from c2vl.training.zero_shot.zero_shot_params import ZeroShotParams

    params = load_section("zero_shot", ZeroShotParams)
    benchmark, name = arguments.benchmark, arguments.split
    cell = f"{benchmark}-{name}"
    encoders, out = (RESULTS / stage / cell for stage in ("zero_shot_pretrain", "zero_shot"))
    with logged(f"zero_shot-{cell}") as notes:
        if (encoders / NOTE).is_file():
            write_json(out / RESULT, {"absent": read_json(encoders / NOTE)["reason"]})
            return
        split, samples = split_samples(DATA, benchmark, name, params)
        descriptions = class_name_features(DATA / "class_names", split.classes)
        job = Job(DATA, benchmark, split, samples, params, descriptions, prepare())
        notes |= evaluate_split(job, encoders, out)


if __name__ == "__main__":
    main()
