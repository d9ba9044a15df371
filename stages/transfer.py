"""Stage `transfer <target>`: encoders pretrained on this data set, finetuned on another one's training split.

Reads `data/targets/<target>/{index,skeleton}` and `results/pretrain/<transfer.source>-<stream>`. Writes
`results/finetune/transfer/<target>/`:

- `metrics.json`: `source, dataset, benchmark, train, test, classes`, and
  `streams[stream][start] = {top1, top5, mean_class, best_on_test}`;
- `scores.parquet`: `stream, start, sample, label, scores` as of `finetune`;
- `finetune.csv`: as of `finetune`, with `stream`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from c2vl.errors import UserError, one_sentence
from c2vl.params import load_section
from c2vl.runlog import logged

DATA, RESULTS = Path("data"), Path("results")


@one_sentence
def main() -> None:
    """Finetune every stream on one target."""
    parser = argparse.ArgumentParser(description="Finetune pretrained encoders on another data set.")
    parser.add_argument("target", help="a name in `transfer.targets` of params.yaml")
    name = parser.parse_args().target

    from c2vl.finetuning.params import TransferParams
    from c2vl.finetuning.protocols import transfer_all
    from c2vl.training.clips import class_names, load_clips
    from c2vl.training.stage import prepare

    params = load_section("transfer", TransferParams)
    if name not in params.targets:
        raise UserError(f"params.yaml: `transfer.targets` has no '{name}', only: {', '.join(params.targets) or 'none'}.")
    target, data = params.targets[name], DATA / "targets" / name
    with logged(f"transfer-{name}") as notes:
        device = prepare()
        train, test = (load_clips(data, target.benchmark, split, device) for split in ("train", "test"))
        out = RESULTS / "finetune/transfer" / name
        about = {"source": params.source, "dataset": target.dataset, "benchmark": target.benchmark}
        notes |= transfer_all(RESULTS / "pretrain", train, test, len(class_names(data)), params, out, about)


if __name__ == "__main__":
    main()
