"""Stage `features <benchmark> <stream>`: features of a frozen encoder on both splits.

Reads `data/index`, `data/skeleton`, `results/pretrain/<benchmark>-<stream>`. Writes
`results/features/<benchmark>-<stream>/` (`features.parquet`, `heads.safetensors`, `encoder.json`:
schema at the top of `c2vl/evaluation/encoded.py`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from c2vl.core.errors import one_sentence
from c2vl.core.runlog import logged
from c2vl.core.stage_arguments import stage_arguments
from c2vl.models.streams import STREAMS

DATA, RESULTS = Path("data"), Path("results")


@one_sentence
def main() -> None:
    """Encode one benchmark with one stream's encoder."""
    parser = argparse.ArgumentParser(
        description="Compute the features of a pretrained encoder, which stays frozen."
    )
    parser.add_argument("benchmark", help="a split column of the index, such as xsub")
    parser.add_argument("stream", choices=STREAMS)
    arguments = stage_arguments(parser, values=2)

    from c2vl.evaluation.frozen_features import make_features
    from c2vl.models.clips import load_clips
    from c2vl.training.devices import prepare

    name = f"{arguments.benchmark}-{arguments.stream}"
    with logged(f"features-{name}") as notes:
        device = prepare()
        train, test = (
            load_clips(DATA, arguments.benchmark, split, device) for split in ("train", "test")
        )
        notes |= make_features(
            RESULTS / "pretrain" / name, train, test, RESULTS / "features" / name
        )


if __name__ == "__main__":
    main()
