"""Stage `skeleton`: raw skeleton files to denoised joints of two actors."""

from __future__ import annotations

import argparse
from pathlib import Path

from c2vl.datasets.params import DataParams
from c2vl.datasets.preprocessed import is_preprocessed
from c2vl.errors import one_sentence
from c2vl.params import load_section
from c2vl.skeletons.line import SkeletonParams
from c2vl.skeletons.passed import PassedWork
from c2vl.skeletons.work import SkeletonWork
from c2vl.store.stage import add_options, carry_out


@one_sentence
def main() -> None:
    """Write `data/skeleton`."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    chosen = parser.parse_args()
    params, raw = load_section("skeleton", SkeletonParams), load_section("data", DataParams).raw
    index = Path("data/index/index.parquet")
    work = PassedWork(index, raw, params.max_failed) if is_preprocessed(raw) else SkeletonWork(params, index, raw)
    carry_out(work, Path("data/skeleton"), chosen)


if __name__ == "__main__":
    main()
