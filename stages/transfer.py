"""Stage `transfer <target>`: pretrained encoders, finetuned on another data set's training split.

Reads `data/targets/<target>/{index,skeleton}` and `results/pretrain/<transfer.source>-<stream>`.
Writes `results/finetune/transfer/<target>/`:

- `metrics.json`: `source, dataset, benchmark, train, test, classes`, and
  `streams[stream][start] = {top1, top5, mean_class, best_on_test}`;
- `scores.parquet`: `stream, start, sample, label, scores` as of `finetune`;
- `finetune.csv`, `trained.json`: as of `finetune`, with `stream`;
- `<stream>/{encoder.safetensors,config.json}`: C²VL's finetuned network, as of `finetune`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from c2vl.core.errors import one_sentence
from c2vl.core.params import load_section
from c2vl.core.stage_arguments import stage_arguments

DATA, RESULTS = Path("data"), Path("results")


@one_sentence
def main() -> None:
    """Finetune every stream on one target."""
    parser = argparse.ArgumentParser(
        description="Finetune pretrained encoders on another data set."
    )
    parser.add_argument("target", help="a name in `transfer.targets` of params.yaml")
    name = stage_arguments(parser).target

    from c2vl.core.tables.class_list import read_class_list
    from c2vl.models.clips import load_clips
    from c2vl.training.devices import prepare
    from c2vl.training.finetuning.finetune_params import TransferParams
    from c2vl.training.finetuning.protocols import transfer_all
    from c2vl.training.stage import recorded, state_folder

    params = load_section("transfer", TransferParams)
    target, data = params.target(name), DATA / "targets" / name
    device = prepare()
    with recorded(f"transfer-{name}", device) as notes:
        train, test = (
            load_clips(data, target.benchmark, split, device) for split in ("train", "test")
        )
        out = RESULTS / "finetune/transfer" / name
        about = {"source": params.source, "dataset": target.dataset, "benchmark": target.benchmark}
        classes = len(read_class_list(data))
        states = state_folder(f"transfer-{name}")
        notes.update(
            transfer_all(RESULTS / "pretrain", train, test, classes, params, out, about, states)
        )


if __name__ == "__main__":
    main()
