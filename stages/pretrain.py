"""Stage `pretrain <benchmark> <stream>`: an encoder from knowledge prompts, by the C²VL objective.

Reads `data/index`, `data/skeleton`, `data/embed/*`; writes `results/pretrain/<benchmark>-<stream>/`:
`encoder.safetensors` (encoder and heads), `config.json`, `curves.csv` (columns: top of `stages/evaluate.py`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from c2vl.errors import one_sentence
from c2vl.params import load_section
from c2vl.runlog import logged
from c2vl.skeletons.streams import STREAMS


@one_sentence
def main() -> None:
    """Train one stream on one benchmark."""
    parser = argparse.ArgumentParser(description="Pretrain a skeleton encoder from knowledge prompts.")
    parser.add_argument("benchmark", help="a split column of the index, such as xsub")
    parser.add_argument("stream", choices=STREAMS)
    arguments = parser.parse_args()

    from c2vl.training.methods import train
    from c2vl.training.params import BaselinesParams, PretrainParams
    from c2vl.training.stage import load_training, prepare, publish

    params = load_section("pretrain", PretrainParams)
    name = f"{arguments.benchmark}-{arguments.stream}"
    with logged(f"pretrain-{name}") as notes:
        data = load_training(Path("data"), arguments.benchmark, params.objective.kinds, prepare())
        trained = train("c2vl", *data, arguments.benchmark, arguments.stream, params, BaselinesParams())
        notes.update(publish(Path("results/pretrain") / name, trained))


if __name__ == "__main__":
    main()
