"""Stage `pretrain <benchmark> <stream>`: an encoder from knowledge prompts, by the C²VL objective.

Reads `data/index`, `data/skeleton`, `data/embed/*`. Writes
`results/pretrain/<benchmark>-<stream>/`:

- `encoder.safetensors`: encoder and heads; `config.json`;
- `curves.csv` (columns: top of `stages/evaluate.py`);
- `trained.json`: the training's content key, the hash of its data, a checksum of each file.

For DVC's plots and metrics it writes `results/curves/<benchmark>-<stream>.csv`, a copy of the
curves, and `results/probe/<benchmark>-<stream>.json`: the last `probe` and `loss`.

A result that the store has under the same key is taken from there. While the stage runs, its state
lies in `.c2vl/training/pretrain-<benchmark>-<stream>/`; a killed run resumes (docs/training.md).

    # one process a GPU; then `dvc commit`
    accelerate launch --num_processes 8 stages/pretrain.py xsub joint
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2vl.core.errors import one_sentence
from c2vl.core.params import load_section
from c2vl.core.stage_arguments import stage_arguments
from c2vl.models.streams import STREAMS

if TYPE_CHECKING:
    from c2vl.training.curves import Epoch

CURVES, PROBES = Path("results/curves"), Path("results/probe")


def write_for_dvc(name: str, curves: list[Epoch], published: Mapping[str, Any]) -> None:
    """Write the curves as a plot and the last probe and loss as metrics; empty without training."""
    from c2vl.core.files import write_bytes, write_json
    from c2vl.training.curves import to_csv

    write_bytes(CURVES / f"{name}.csv", to_csv(curves).encode())
    shown = {key: published[key] for key in ("probe", "loss") if key in published}
    write_json(PROBES / f"{name}.json", shown)


@one_sentence
def main() -> None:
    """Train one stream on one benchmark."""
    parser = argparse.ArgumentParser(
        description="Pretrain a skeleton encoder from knowledge prompts."
    )
    parser.add_argument("benchmark", help="a split column of the index, such as xsub")
    parser.add_argument("stream", choices=STREAMS)
    arguments = stage_arguments(parser, values=2)

    from c2vl.core.layout_file import read_layout
    from c2vl.training.absent import note_absent, without_prompts
    from c2vl.training.devices import Devices, prepare
    from c2vl.training.methods import train
    from c2vl.training.objective.chosen import make_objective
    from c2vl.training.reuse import Reuse
    from c2vl.training.stage import load_training, publish, recorded, state_folder
    from c2vl.training.training_params import BaselinesParams, PretrainParams

    params = load_section("pretrain", PretrainParams)
    name = f"{arguments.benchmark}-{arguments.stream}"
    make_objective(params.objective)  # a user's own that cannot be used ends the stage here
    out, state = Path("results/pretrain") / name, state_folder(f"pretrain-{name}")
    device = prepare()
    with recorded(f"pretrain-{name}", device) as notes:
        if without_prompts(Path("data")):
            if Devices(device).main:
                layout = read_layout(Path("data"))
                note_absent(out, "c2vl", arguments.benchmark, arguments.stream, params, layout)
                write_for_dvc(name, [], {})
            return
        data = load_training(Path("data"), arguments.benchmark, params.objective.kinds, device)
        cell = arguments.benchmark, arguments.stream
        reuse = Reuse(out, Devices(device))
        trained = train("c2vl", *data, *cell, params, BaselinesParams(), state, reuse)
        published = publish(out, trained, state)
        notes.update(published)
        if published:
            write_for_dvc(name, trained.curves, published)


if __name__ == "__main__":
    main()
