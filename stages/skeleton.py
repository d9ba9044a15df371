"""Stage `skeleton`: raw skeleton files to denoised joints of two actors."""

from __future__ import annotations

import argparse
from pathlib import Path

from c2vl.core.errors import one_sentence
from c2vl.core.params import load_section
from c2vl.datasets.data_params import DataParams
from c2vl.datasets.skeleton_params import SkeletonParams
from c2vl.datasets.skeletons.choose_stage import choose_skeleton_stage
from c2vl.store.run import add_options, run_as_asked


@one_sentence
def main() -> None:
    """Write `data/skeleton`."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    chosen = parser.parse_args()
    params, raw = load_section("skeleton", SkeletonParams), load_section("data", DataParams).raw
    stage = choose_skeleton_stage(params, Path("data/index/index.parquet"), raw, Path("data/pose"))
    run_as_asked(stage, Path("data/skeleton"), chosen)


if __name__ == "__main__":
    main()
