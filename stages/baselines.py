"""Stage `baselines <benchmark>`: the methods that C²VL is compared with, joint stream.

`infonce`: hard targets on the same prompts with the same schedule; `random`: an untrained encoder;
`supervised`: the same encoder trained on labels. With `pose.compare` also `video`: C²VL on the
skeletons found in the videos, `data/video_skeleton`. Reads what `pretrain` reads; writes
`results/baselines/<benchmark>/<method>/` with the same files as `pretrain`. Known results are taken
from the store as there; `random` is not trained and has no key.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from c2vl.core.errors import one_sentence
from c2vl.core.params import load_section
from c2vl.core.stage_arguments import stage_arguments

if TYPE_CHECKING:
    from c2vl.training.checkpoint import Method

METHODS: tuple[Method, ...] = ("infonce", "random", "supervised")


@one_sentence
def main() -> None:
    """Train the baselines of one benchmark."""
    parser = argparse.ArgumentParser(
        description="Train what C²VL is compared with, on the joint stream."
    )
    parser.add_argument("benchmark", help="a split column of the index, such as xsub")
    benchmark = stage_arguments(parser).benchmark

    from c2vl.core.layout_file import read_layout
    from c2vl.training import video_skeletons
    from c2vl.training.absent import note_absent, without_prompts
    from c2vl.training.devices import Devices, prepare
    from c2vl.training.keep import forget
    from c2vl.training.methods import train
    from c2vl.training.reuse import Reuse
    from c2vl.training.stage import load_labelled, load_training, publish, recorded, state_folder
    from c2vl.training.training_params import BaselinesParams, PretrainParams

    params, baselines = (
        load_section("pretrain", PretrainParams),
        load_section("baselines", BaselinesParams),
    )
    device = prepare()
    names = (*METHODS, video_skeletons.METHOD)
    states = {name: state_folder(f"baselines-{benchmark}-{name}") for name in names}
    with recorded(f"baselines-{benchmark}", device) as notes:
        bare = without_prompts(Path("data"))
        data = (
            load_labelled(Path("data"), benchmark, device)
            if bare
            else load_training(Path("data"), benchmark, params.objective.kinds, device)
        )
        for method in METHODS:
            out, state = Path("results/baselines") / benchmark / method, states[method]
            if method == "infonce" and bare:
                if Devices(device).main:
                    layout = read_layout(Path("data"))
                    note_absent(out, method, benchmark, "joint", params, layout)
                continue
            reuse = Reuse(out, Devices(device))
            trained = train(method, *data, benchmark, "joint", params, baselines, state, reuse)
            notes[method] = publish(out, trained)
        if not bare and video_skeletons.compared():
            kinds, found = params.objective.kinds, video_skeletons.SKELETONS
            data = load_training(Path("data"), benchmark, kinds, device, skeletons=found)
            name = video_skeletons.METHOD
            out, state = Path("results/baselines") / benchmark / name, states[name]
            reuse = Reuse(out, Devices(device))
            trained = train("c2vl", *data, benchmark, "joint", params, baselines, state, reuse)
            notes[name] = publish(out, trained)
        # Only now: after a kill DVC deletes all that was published.
        if Devices(device).main:
            for state in states.values():
                forget(state)


if __name__ == "__main__":
    main()
