"""Stage `zero_shot_pretrain <benchmark> <split>`: encoders that never see some of the classes.

Reads `data/index`, `data/skeleton`, `data/embed/*`. Writes
`results/zero_shot_pretrain/<benchmark>-<split>/final` and `…/gate`, with the files of stage
`pretrain`: an encoder pretrained on all training clips of the seen classes, and one that leaves out
some seen classes, on which the gate is chosen. No label is used, and no clip of an unseen class is
loaded. Where the split cannot be run, `absent.json` (`reason`) says why. Protocols:
`docs/zero-shot.md`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from c2vl.core.errors import one_sentence
from c2vl.core.params import first_benchmark, load_section
from c2vl.core.stage_arguments import stage_arguments

DATA, OUT = Path("data"), Path("results/zero_shot_pretrain")


@one_sentence
def main() -> None:
    """Pretrain the two encoders of one split on one benchmark."""
    parser = argparse.ArgumentParser(description="Pretrain without the clips of some classes.")
    parser.add_argument("benchmark", help="a split column of the index, such as xsub")
    parser.add_argument("split", help="a published split such as synse-55-5, or draw-1")
    arguments = stage_arguments(parser, before=first_benchmark)

    from c2vl.core.files import write_json
    from c2vl.models.prompt_features import NoPromptsError
    from c2vl.training.devices import Devices, prepare
    from c2vl.training.stage import recorded, state_folder
    from c2vl.training.training_params import PretrainParams
    from c2vl.training.zero_shot.pretrain_seen import pretrain_seen
    from c2vl.training.zero_shot.protocols import NOTE, NotRunError
    from c2vl.training.zero_shot.samples import split_samples
    from c2vl.training.zero_shot.zero_shot_params import ZeroShotParams

    params = load_section("zero_shot", ZeroShotParams)
    pretrain = load_section("pretrain", PretrainParams)
    benchmark, name = arguments.benchmark, arguments.split
    out, stage = OUT / f"{benchmark}-{name}", f"zero_shot_pretrain-{benchmark}-{name}"
    device, state = prepare(), state_folder(stage)
    with recorded(stage, device) as notes:
        try:
            _, samples = split_samples(DATA, benchmark, name, params)
            notes |= pretrain_seen(DATA, benchmark, samples, params, pretrain, device, state, out)
        except (NotRunError, NoPromptsError) as reason:
            if Devices(device).main:
                write_json(out / NOTE, {"reason": str(reason)})
                print(f"{out}: not trained. {reason}", flush=True)


if __name__ == "__main__":
    main()
