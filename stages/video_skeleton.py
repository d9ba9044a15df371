"""Stage `video_skeleton`: 2D skeletons from the videos of clips that also have a skeleton file.

An encoder is trained on both (`stages/baselines.py`), so that the report compares them. It runs
only with `pose.compare`; otherwise the output is an empty table.
"""

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

OUT = Path("data/video_skeleton")


@one_sentence
def main() -> None:
    """Write `data/video_skeleton`, in the schema of the skeleton table."""
    parser = argparse.ArgumentParser(description="Find skeletons in videos, to compare them.")
    add_options(parser)
    chosen = parser.parse_args()
    params, crop = load_section("pose", PoseParams), load_section("crop", CropParams)
    raw = load_section("data", DataParams).raw
    stage = PoseStage(params, crop, Path("data/index/index.parquet"), raw, compare=True)
    run_as_asked(stage, OUT, chosen, "video_skeleton")
    if not chosen.fill:
        write_layout(OUT, stage.layout)


if __name__ == "__main__":
    main()
