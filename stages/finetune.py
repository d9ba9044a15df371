"""Stage `finetune <benchmark> <stream>`: train encoder and a new classifier on all training labels.

Reads `data/index`, `data/skeleton`, `results/pretrain/<benchmark>-<stream>`. Starts are `c2vl`
(that checkpoint) and `scratch` (the same encoder untrained, same schedule). Writes
`results/finetune/full/<benchmark>-<stream>/`:

- `metrics.json`: `[start] = {top1, top5, mean_class, best_on_test}`, shares in 0…1 after the last
  epoch;
- `scores.parquet`, a row a test clip and start: `start, sample, label` (int16),
  `scores` (fixed_size_list<float32>[classes]);
- `finetune.csv`: `start, epoch, learning_rate, loss, accuracy` (training),
  `test` (accuracy, in the epochs that looked at it);
- `encoder.safetensors`, `config.json`: C²VL's finetuned network, as of `pretrain`;
- `trained.json`: of each training its content key, the hash of its data, curves and checksums.

A training that the store has under the same key is taken from there.

Streams are fused by stage `protocols`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from c2vl.core.errors import one_sentence
from c2vl.core.params import load_section
from c2vl.core.stage_arguments import stage_arguments
from c2vl.models.streams import STREAMS

DATA, RESULTS = Path("data"), Path("results")


@one_sentence
def main() -> None:
    """Finetune one stream on one benchmark."""
    parser = argparse.ArgumentParser(
        description="Finetune a pretrained encoder on all training labels."
    )
    parser.add_argument("benchmark", help="a split column of the index, such as xsub")
    parser.add_argument("stream", choices=STREAMS)
    arguments = stage_arguments(parser, values=2)

    from c2vl.core.tables.class_list import read_class_list
    from c2vl.models.clips import load_clips
    from c2vl.training.devices import prepare
    from c2vl.training.finetuning.finetune_params import FinetuneParams
    from c2vl.training.finetuning.protocols import finetune_all
    from c2vl.training.stage import recorded, state_folder

    params = load_section("finetune", FinetuneParams)
    name = f"{arguments.benchmark}-{arguments.stream}"
    device = prepare()
    with recorded(f"finetune-{name}", device) as notes:
        train, test = (
            load_clips(DATA, arguments.benchmark, split, device) for split in ("train", "test")
        )
        source, out = RESULTS / "pretrain" / name, RESULTS / "finetune/full" / name
        states = state_folder(f"finetune-{name}")
        notes.update(
            finetune_all(source, train, test, len(read_class_list(DATA)), params, out, states)
        )


if __name__ == "__main__":
    main()
