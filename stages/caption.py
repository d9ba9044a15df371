"""Stage `caption`: the answer to the paper's question for each crop."""

from __future__ import annotations

from pathlib import Path

from c2vl.errors import one_sentence
from c2vl.params import load_section
from c2vl.prompts.caption import CaptionParams, CaptionWork
from c2vl.runlog import logged
from c2vl.store.run import run


@one_sentence
def main() -> None:
    """Write `data/caption`."""
    with logged("caption") as notes:
        run(CaptionWork(load_section("caption", CaptionParams), Path("data/crop")), Path("data/caption"), notes)


if __name__ == "__main__":
    main()
