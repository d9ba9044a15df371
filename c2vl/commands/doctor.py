"""Check whether this machine and this project are ready for a run.

  c2vl doctor
  c2vl doctor --deep       read all outputs too, and compare them with their hashes

Prints a line for each check: `ok`, `note` (it works, but you may want to know) or `FAIL` with what
to do. The exit code is 1 if a check fails. Nothing is changed or downloaded. The raw folder
is listed, one skeleton file is read, and a captioning server is asked for its models.
"""

from __future__ import annotations

import argparse

HELP = "check whether this machine and project are ready for a run"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--deep",
        action="store_true",
        help="read all outputs and their copies in DVC's cache, and compare their hashes",
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the findings.

    Raises:
        SystemExit: a check failed (exit code 1).
    """
    from c2vl.commands.checks import (
        data,
        dvc_remote,
        engines,
        git,
        machine,
        outputs,
        settings,
        video,
    )
    from c2vl.commands.checks import run as run_checks
    from c2vl.commands.checks.finding import examine

    checks = {
        "Python": machine.python,
        "packages": machine.packages,
        "device": machine.device,
        "memory": machine.memory,
        "disks": machine.disks,
        "video": video.decoders,
        "settings": settings.settings,
        "engines": engines.engines,
        "data": data.data,
        "run": run_checks.run,
        "git": git.git,
        "DVC remote": dvc_remote.remote,
    } | ({"outputs": outputs.outputs} if arguments.deep else {})
    failed = False
    for topic, check in checks.items():
        for finding in examine(topic, check):
            failed |= finding.state == "FAIL"
            print(finding.line(width=11), flush=True)
    if failed:
        raise SystemExit(1)
