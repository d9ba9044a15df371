"""Stage `baseline_features <benchmark>`: features of the encoders in `results/baselines`.

Writes `results/baseline_features/<benchmark>/<method>/` (schema: top of
`c2vl/evaluation/encoded.py`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from c2vl.core.errors import one_sentence
from c2vl.core.runlog import logged
from c2vl.core.stage_arguments import stage_arguments

DATA, RESULTS = Path("data"), Path("results")
METHODS = ("infonce", "random", "supervised")


@one_sentence
def main() -> None:
    """Encode one benchmark with each baseline."""
    parser = argparse.ArgumentParser(
        description="Compute the features of the baselines' encoders, which stay frozen."
    )
    parser.add_argument("benchmark", help="a split column of the index, such as xsub")
    benchmark = stage_arguments(parser).benchmark

    from c2vl.evaluation.frozen_features import make_features
    from c2vl.models.clips import load_clips
    from c2vl.training import video_skeletons
    from c2vl.training.devices import prepare

    with logged(f"baseline_features-{benchmark}") as notes:
        device = prepare()
        train, test = (load_clips(DATA, benchmark, split, device) for split in ("train", "test"))
        for method in METHODS:
            folder = RESULTS / "baselines" / benchmark / method
            notes |= make_features(
                folder, train, test, RESULTS / "baseline_features" / benchmark / method
            )
        name, found = video_skeletons.METHOD, video_skeletons.SKELETONS
        folder = RESULTS / "baselines" / benchmark / name
        if folder.is_dir():
            train, test = (
                load_clips(DATA, benchmark, split, device, skeletons=found)
                for split in ("train", "test")
            )
            out = RESULTS / "baseline_features" / benchmark / name
            notes |= make_features(folder, train, test, out, name)


if __name__ == "__main__":
    main()
