"""The command `c2vl`: each module of `c2vl/commands` is a sub-command."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
from collections.abc import Sequence

from c2vl import __version__, commands
from c2vl.core.errors import one_sentence

DESCRIPTION = """\
Learn skeleton encoders from what vision-language models see in videos (C²VL).

`c2vl COMMAND --help` says what a command does, with an example."""

EPILOG = """\
DVC runs the pipeline:
  dvc repro                 run every stage that is out of date, from raw files to the report
  dvc repro caption         run the stages up to `caption`
  dvc push, dvc pull        share results; `dvc repro` on another machine then computes nothing
  dvc status                show which stages are out of date; `c2vl dag` shows all stages

Environment variables set what belongs to this machine (params.yaml holds everything else):
  C2VL_DEVICE=cuda:1        device to compute on
  C2VL_WORKERS=8            processes for CPU work
  OMP_NUM_THREADS=1         threads of an engine on a CPU (default: C2VL_WORKERS)
  C2VL_BATCH_CAPTION=32     batch size of a stage: POSE, CROP, CAPTION, EMBED
  C2VL_STORE=/big/disk      folder of the sample store
  C2VL_PREPARE=threads      how inputs are prepared: auto, threads or processes
                            (auto: processes in a long run, else threads)
  C2VL_THREADS=4            threads of a training on a CPU
  C2VL_COMPILE=1            train with torch.compile
  C2VL_SAVE_SECONDS=60      seconds between saves of a training's state
  C2VL_TRAINED_GB=10        how many GB of finished trainings the store keeps
  C2VL_CAPTION_URL=URL      address of a captioning server (docs/engines.md)
"""


def parser() -> argparse.ArgumentParser:
    """Build the argument parser.

    To add a command, add a module with `HELP`, `configure` and `run` to `c2vl/commands`.
    """
    top = argparse.ArgumentParser(
        prog="c2vl",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=__version__)
    chosen = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in pkgutil.iter_modules(commands.__path__):
        if module.ispkg:  # packages hold code that several commands use
            continue
        command = importlib.import_module(f"{commands.__name__}.{module.name}")
        sub = chosen.add_parser(
            command_of(module.name),
            help=command.HELP,
            description=command.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.configure(sub)
        sub.set_defaults(run=command.run)
    return top


def command_of(module: str) -> str:
    """The name of a module's command: `import_checkpoint` is `import-checkpoint`."""
    return module.replace("_", "-")


@one_sentence
def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; `arguments` default to the command line."""
    chosen = parser().parse_args(arguments)
    chosen.run(chosen)


if __name__ == "__main__":
    main()
