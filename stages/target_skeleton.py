"""Stage `target_skeleton <target>`: as `skeleton`, for a data set that encoders are transferred to.

Reads `data/targets/<target>/index` and the target's raw folder; writes
`data/targets/<target>/skeleton/`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from c2vl.core.errors import one_sentence
from c2vl.core.params import load_section
from c2vl.core.stage_arguments import stage_arguments
from c2vl.datasets.skeleton_params import SkeletonParams
from c2vl.datasets.skeletons.choose_stage import choose_skeleton_stage
from c2vl.datasets.transfer_targets import load_target
from c2vl.store.run import add_options, run_as_asked


@one_sentence
def main() -> None:
    """Write the target's skeletons."""
    parser = argparse.ArgumentParser(
        description="Parse and denoise the skeletons of a transfer target."
    )
    parser.add_argument("target", help="a name in `transfer.targets` of params.yaml")
    add_options(parser)
    chosen = stage_arguments(parser)
    target = load_target(chosen.target)
    folder = Path("data/targets") / chosen.target
    stage = choose_skeleton_stage(
        load_section("skeleton", SkeletonParams), folder / "index" / "index.parquet", target.raw
    )
    run_as_asked(stage, folder / "skeleton", chosen, name=f"target_skeleton-{chosen.target}")


if __name__ == "__main__":
    main()
