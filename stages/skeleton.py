"""Stage `skeleton`: raw skeleton files to denoised joints of two actors."""

from __future__ import annotations

from pathlib import Path

from c2vl.datasets.params import DataParams
from c2vl.errors import one_sentence
from c2vl.params import load_section
from c2vl.runlog import logged
from c2vl.skeletons.line import SkeletonParams
from c2vl.skeletons.work import SkeletonWork
from c2vl.store.run import run


@one_sentence
def main() -> None:
    """Write `data/skeleton`."""
    params, raw = load_section("skeleton", SkeletonParams), load_section("data", DataParams).raw
    with logged("skeleton") as notes:
        run(SkeletonWork(params, Path("data/index/index.parquet"), raw), Path("data/skeleton"), notes)


if __name__ == "__main__":
    main()
