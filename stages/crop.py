"""Stage `crop`: the people of the action in K frames of each video."""

from __future__ import annotations

from pathlib import Path

from c2vl.datasets.params import DataParams
from c2vl.errors import one_sentence
from c2vl.params import load_section
from c2vl.prompts.crop import CropParams, CropWork
from c2vl.runlog import logged
from c2vl.store.run import run


@one_sentence
def main() -> None:
    """Write `data/crop`."""
    params, raw = load_section("crop", CropParams), load_section("data", DataParams).raw
    with logged("crop") as notes:
        run(CropWork(params, Path("data/index/index.parquet"), Path("data/skeleton"), raw), Path("data/crop"), notes)


if __name__ == "__main__":
    main()
