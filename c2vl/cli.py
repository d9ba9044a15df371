"""The command `c2vl`: one sub-command a file in `c2vl/commands`, found by its name."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
from collections.abc import Sequence

from c2vl import __version__, commands
from c2vl.core.errors import one_sentence

EPILOG = """\
the pipeline itself is DVC's:
  dvc repro                 run whatever is out of date, raw files to report
  dvc repro caption         ... only as far as one stage
  dvc push, dvc pull        share what was computed; `dvc repro` elsewhere then runs nothing
  dvc dag, dvc status       what depends on what, what is out of date

this machine, by environment variables (never in params.yaml, which is part of DVC's key):
  C2VL_DEVICE=cuda:1        where to compute       C2VL_BATCH_CAPTION=32  how many at once, a stage
  C2VL_WORKERS=8            processes for CPU work C2VL_STORE=/big/disk   where computed samples are kept
  C2VL_THREADS=4            of training on a CPU   C2VL_SAVE_SECONDS=60   between saves of a training's state
  C2VL_COMPILE=1            torch.compile          C2VL_CAPTION_URL=…     of a captioning server (docs/engines.md)
  C2VL_PREPARE=threads      or processes, ahead of an engine; default: threads, in a long run processes
"""


def parser() -> argparse.ArgumentParser:
    """The argument parser; adding a command is adding a module with `HELP`, `configure` and `run` to `c2vl/commands`."""
    top = argparse.ArgumentParser(
        prog="c2vl",
        description="Skeleton action representations from vision-language knowledge prompts (C²VL).",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=__version__)
    chosen = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in pkgutil.iter_modules(commands.__path__):
        if module.ispkg:  # what only commands use
            continue
        command = importlib.import_module(f"{commands.__name__}.{module.name}")
        sub = chosen.add_parser(
            module.name,
            help=command.HELP,
            description=command.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.configure(sub)
        sub.set_defaults(run=command.run)
    return top


@one_sentence
def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; `arguments` default to the command line."""
    chosen = parser().parse_args(arguments)
    chosen.run(chosen)


if __name__ == "__main__":
    main()
