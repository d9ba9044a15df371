"""Stage `zero_shot <benchmark> <split>`: recognition of classes that no training has seen.

Reads `data/index`, `data/skeleton`, `data/embed/*`, `data/class_names`. Protocols and settings:
`docs/zero-shot.md`. Writes `results/zero_shot/<benchmark>-<split>/`:

- `encoder.safetensors`, `config.json`, `curves.csv`: pretrained on the clips of seen classes
  (as stage `pretrain`);
- `alignment.safetensors`: the head trained with the labels of those clips, `weight` (width, D),
  `mean` and `scale` (D,), `centre` (width,), float32 (`c2vl/evaluation/zero_shot/alignment.py`);
- `zero_shot.json`: `split` (`name, family, title, source, dataset, classes, unseen, seen, held_out,
  benchmark, stream`), `clips` (`train, test_seen, test_unseen`), `epochs`, and for `label_free` and
  `labels` each `zsl` (`top1, mean_class, chance, clips`), `gzsl` and `gzsl_without_gate` (`seen,
  unseen, harmonic, gate`), shares in 0…1. Where the split cannot be run it holds only `absent`, a
  sentence that says why.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from c2vl.core.errors import one_sentence
from c2vl.core.params import load_section

DATA, OUT = Path("data"), Path("results/zero_shot")


@one_sentence
def main() -> None:
    """Train and evaluate one split on one benchmark."""
    parser = argparse.ArgumentParser(
        description="Train without some classes, and recognise them by their names."
    )
    parser.add_argument("benchmark", help="a split column of the index, such as xsub")
    parser.add_argument("split", help="a published split such as synse-55-5, or draw-1")
    arguments = parser.parse_args()

    from c2vl.core.files import write_json
    from c2vl.core.tables.class_list import class_names
    from c2vl.evaluation.shared_space import class_name_features
    from c2vl.evaluation.zero_shot.protocols import OtherDataSet, find_split
    from c2vl.evaluation.zero_shot.run_split import RESULT, Job, run_split
    from c2vl.evaluation.zero_shot.samples import choose_samples, dataset_of, labels_of
    from c2vl.evaluation.zero_shot.zero_shot_params import ZeroShotParams
    from c2vl.models.prompt_features import NoPromptsError
    from c2vl.training.devices import Devices, prepare
    from c2vl.training.stage import recorded, state_folder
    from c2vl.training.training_params import PretrainParams

    params = load_section("zero_shot", ZeroShotParams)
    pretrain = load_section("pretrain", PretrainParams)
    benchmark, name = arguments.benchmark, arguments.split
    out, cell = OUT / f"{benchmark}-{name}", f"zero_shot-{benchmark}-{name}"
    device, classes = prepare(), len(class_names(DATA))
    with recorded(cell, device) as notes:
        try:
            dataset = dataset_of(DATA)
            drawing = params.unseen, params.seed
            split = find_split(name, dataset, benchmark, classes, *drawing)
            samples = choose_samples(labels_of(DATA, benchmark), split, params.seed)
            descriptions = class_name_features(DATA / "class_names", classes)
            job = Job(DATA, benchmark, split, params, pretrain, descriptions, device)
            notes |= run_split(job, samples, state_folder(cell), out)
        except (OtherDataSet, NoPromptsError) as reason:
            if Devices(device).main:
                write_json(out / RESULT, {"absent": str(reason)})
                print(f"{out}: not run. {reason}", flush=True)


if __name__ == "__main__":
    main()
