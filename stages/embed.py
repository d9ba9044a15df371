"""Stage `embed`: features of the crops (`vision`) or of the answers (`language`)."""

from __future__ import annotations

import argparse
from pathlib import Path

from c2vl.core.errors import one_sentence
from c2vl.core.params import load_section
from c2vl.prompts.embed import EmbedStage
from c2vl.prompts.embed_params import EmbedParams
from c2vl.store.run import add_options, run_as_asked

PROMPTS = {"vision": Path("data/crop"), "language": Path("data/caption")}


@one_sentence
def main() -> None:
    """Write `data/embed/<knowledge>`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("knowledge", choices=PROMPTS)
    add_options(parser)
    chosen = parser.parse_args()
    stage = EmbedStage(
        load_section("embed", EmbedParams), chosen.knowledge, PROMPTS[chosen.knowledge]
    )
    run_as_asked(stage, Path("data/embed") / chosen.knowledge, chosen)


if __name__ == "__main__":
    main()
