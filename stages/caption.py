"""Stage `caption`: ask about each crop or clip, or use a published file's answers."""

from __future__ import annotations

import argparse
from pathlib import Path

from c2vl.core.errors import one_sentence
from c2vl.core.params import load_section
from c2vl.core.tables.schemas import OK
from c2vl.prompts.caption import CaptionParams, CaptionStage, crop_statuses
from c2vl.prompts.published import PublishedStage
from c2vl.store.run import add_options, run_as_asked


@one_sentence
def main() -> None:
    """Write `data/caption`."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    chosen = parser.parse_args()
    params, crops = load_section("caption", CaptionParams), Path("data/crop")
    stage: CaptionStage | PublishedStage = CaptionStage(params, crops)
    if params.published is None and OK not in crop_statuses(crops):
        print(
            "caption: there is no crop to ask about; `caption.published` takes answers from a file "
            "instead (docs/datasets.md)."
        )
    if params.published is not None:
        stage = PublishedStage(params.published, crops, params.per == "clip")
        print(stage.summary())
    run_as_asked(stage, Path("data/caption"), chosen)


if __name__ == "__main__":
    main()
