"""Stage `caption`: the answer to the paper's question for each crop, or the sentences of a published file."""

from __future__ import annotations

from pathlib import Path

from c2vl.errors import one_sentence
from c2vl.params import load_section
from c2vl.prompts.caption import CaptionParams, CaptionWork
from c2vl.prompts.published import PublishedWork
from c2vl.runlog import logged
from c2vl.store.run import run


@one_sentence
def main() -> None:
    """Write `data/caption`."""
    params, crops = load_section("caption", CaptionParams), Path("data/crop")
    with logged("caption") as notes:
        if params.published is None:
            run(CaptionWork(params, crops), Path("data/caption"), notes)
        else:
            work = PublishedWork(params.published, crops)
            print(work.summary())
            run(work, Path("data/caption"), notes)


if __name__ == "__main__":
    main()
