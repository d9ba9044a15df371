"""Stage `embed`: features of the crops (`vision`) or of the answers (`language`)."""

from __future__ import annotations

import argparse
from pathlib import Path

from c2vl.errors import one_sentence
from c2vl.params import load_section
from c2vl.prompts.embed import EmbedParams, EmbedWork
from c2vl.runlog import logged
from c2vl.store.run import run

PROMPTS = {"vision": Path("data/crop"), "language": Path("data/caption")}


@one_sentence
def main() -> None:
    """Write `data/embed/<knowledge>`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("knowledge", choices=PROMPTS)
    knowledge = parser.parse_args().knowledge
    with logged(f"embed-{knowledge}") as notes:
        work = EmbedWork(load_section("embed", EmbedParams), knowledge, PROMPTS[knowledge])
        run(work, Path("data/embed") / knowledge, notes)


if __name__ == "__main__":
    main()
