"""Stage `semi <benchmark> <stream>`: finetuning with labels on a small share of the training clips.

Reads `data/index`, `data/skeleton`, `results/pretrain/<benchmark>-<stream>` (pretrained on all
training clips, without labels). Every draw takes the same share of each class, at least one clip.
Writes `results/finetune/semi/<benchmark>-<stream>/`:

- `metrics.json`: `[start][fraction] = {labelled, top1, top5, mean_class, best_on_test}`, the latter
  four `{mean, std, values}` over the draws (sample deviation, null of one draw), shares in 0…1;
  fractions as text, such as `0.01`;
- `scores.parquet`: as of `finetune`, with `fraction` (double) and `draw` (int64) before `sample`;
- `draws.parquet`: `fraction, draw, sample`: the clips that had labels;
- `finetune.csv`, `trained.json`: as of `finetune`, with `fraction, draw`.

Every training has a key of its own: a new fraction or draw trains only what is new.
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
    """Finetune one stream on shares of one benchmark's labels."""
    parser = argparse.ArgumentParser(
        description="Finetune a pretrained encoder on a share of the training labels."
    )
    parser.add_argument("benchmark", help="a split column of the index, such as xsub")
    parser.add_argument("stream", choices=STREAMS)
    arguments = stage_arguments(parser, values=2)

    from c2vl.core.tables.class_list import read_class_list
    from c2vl.models.clips import load_clips
    from c2vl.training.devices import prepare
    from c2vl.training.finetuning.finetune_params import SemiParams
    from c2vl.training.finetuning.protocols import semi_all
    from c2vl.training.stage import recorded, state_folder

    params = load_section("semi", SemiParams)
    name = f"{arguments.benchmark}-{arguments.stream}"
    device = prepare()
    with recorded(f"semi-{name}", device) as notes:
        train, test = (
            load_clips(DATA, arguments.benchmark, split, device) for split in ("train", "test")
        )
        source, out = RESULTS / "pretrain" / name, RESULTS / "finetune/semi" / name
        states = state_folder(f"semi-{name}")
        notes.update(semi_all(source, train, test, len(read_class_list(DATA)), params, out, states))


if __name__ == "__main__":
    main()
