"""Stage `pose`: 2D skeletons of people in videos, for samples that have no skeleton file."""

from __future__ import annotations

import argparse
from pathlib import Path

from c2vl.core.errors import one_sentence
from c2vl.core.layout_file import write_layout
from c2vl.core.params import load_section
from c2vl.datasets.data_params import DataParams
from c2vl.prompts.crop_params import CropParams
from c2vl.prompts.pose.pose_params import PoseParams
from c2vl.prompts.pose.pose_stage import PoseStage
from c2vl.store.run import add_options, run_as_asked

OUT = Path("data/pose")


@one_sentence
def main() -> None:
    """Write `data/pose`, in the schema of the skeleton table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    chosen = parser.parse_args()
    params, crop = load_section("pose", PoseParams), load_section("crop", CropParams)
    raw = load_section("data", DataParams).raw
    stage = PoseStage(params, crop, Path("data/index/index.parquet"), raw)
    if not stage.clips:
        print("pose: all samples have skeleton files, so there is nothing to find.", flush=True)
    run_as_asked(stage, OUT, chosen)
    if not chosen.fill:
        write_layout(OUT, stage.layout)


if __name__ == "__main__":
    main()
