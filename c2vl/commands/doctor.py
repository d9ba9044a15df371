"""Check this machine and this project: a line each, with what to do; exit code 1 if something would stop a run.

Nothing is changed and nothing downloaded. The raw folder is listed, not read. A captioning server is asked for its models.
"""

from __future__ import annotations

import argparse

HELP = "check Python, torch, GPU, disks, decoders, engines, data and DVC's remote"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments: none."""


def run(arguments: argparse.Namespace) -> None:
    """Print the findings."""
    from c2vl.commands.checks import data, dvc_remote, engines, machine, video
    from c2vl.commands.checks.finding import examine

    checks = {
        "Python": machine.python,
        "packages": machine.packages,
        "device": machine.device,
        "memory": machine.memory,
        "disks": machine.disks,
        "video": video.decoders,
        "engines": engines.engines,
        "data": data.data,
        "DVC remote": dvc_remote.remote,
    }
    failed = False
    for what, check in checks.items():
        for finding in examine(what, check):
            failed |= finding.state == "FAIL"
            print(finding.line(width=11), flush=True)
    if failed:
        raise SystemExit(1)
