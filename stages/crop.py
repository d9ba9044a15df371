"""Stage `crop`: the people of the action in K frames of each video."""

from __future__ import annotations

import argparse
from pathlib import Path

from c2vl.core.errors import one_sentence
from c2vl.core.params import load_section
from c2vl.core.sharing import PIPELINE, push_warning
from c2vl.datasets.data_params import DataParams
from c2vl.prompts.crop import CropStage
from c2vl.prompts.crop_params import CropParams
from c2vl.store.run import add_options, run_as_asked


@one_sentence
def main() -> None:
    """Write `data/crop`."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    chosen = parser.parse_args()
    params, data = load_section("crop", CropParams), load_section("data", DataParams)
    if PIPELINE.is_file() and (warning := push_warning(data.dataset)):
        print(f"crop: {warning}.", flush=True)
    stage = CropStage(params, Path("data/index/index.parquet"), Path("data/skeleton"), data.raw)
    if not stage.filmed:
        print(
            f"crop: {data.raw} holds no video of any sample, so there are no crops; prompts need "
            "videos, or `caption.published` (docs/datasets.md).",
            flush=True,
        )
    run_as_asked(stage, Path("data/crop"), chosen)


if __name__ == "__main__":
    main()
