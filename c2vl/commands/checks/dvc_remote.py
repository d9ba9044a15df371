"""Whether DVC's default remote is configured and answers."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator

from c2vl.commands.checks.finding import Finding

REMOTE_ANSWERS_WITHIN = 20.0  # seconds


def remote() -> Iterator[Finding]:
    """Check DVC's default remote, in another process: a dead network may block it."""
    ask = (
        "from dvc.repo import Repo\n"
        "repo = Repo('.')\n"
        "for name, settings in repo.config['remote'].items():\n"
        "    if not settings.get('verify'): print('unverified', name)\n"
        "name = repo.config['core'].get('remote')\n"
        "if not name: print('none'); raise SystemExit\n"
        "odb = repo.cloud.get_remote_odb(name)\n"
        "print('name', name, odb.path)\n"
        "print('answers' if odb.fs.exists(odb.path) else 'empty')\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", ask],
            capture_output=True,
            text=True,
            timeout=REMOTE_ANSWERS_WITHIN,
        )
    except subprocess.TimeoutExpired:
        yield Finding(
            "FAIL",
            "DVC remote",
            f"no answer within {REMOTE_ANSWERS_WITHIN:.0f} s",
            "check the network and `dvc remote list`",
        )
        return
    lines = done.stdout.splitlines()
    unverified = [line for line in lines if line.startswith("unverified ")]
    lines = [line for line in lines if line not in unverified]
    for name in (shlex.quote(line.partition(" ")[2]) for line in unverified):
        yield Finding(
            "note",
            "DVC remote",
            f"DVC does not compare what it pulls from {name} with its hash",
            f"`dvc remote modify {name} verify true`",
        )
    if "none" in lines:
        yield Finding(
            "note",
            "DVC remote",
            "none; to share results, `dvc remote add -d lab URL`, "
            "then `dvc remote modify lab verify true`",
        )
    elif "answers" in lines or "empty" in lines:
        first = "" if "answers" in lines else ", nothing there yet: the first `dvc push` creates it"
        yield Finding("ok", "DVC remote", f"{lines[0].removeprefix('name ')} answers{first}")
    else:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1][:200]
        if "not a git repository" in reason:
            return  # the check `git` says what to do
        yield Finding(
            "FAIL", "DVC remote", reason, "check `dvc remote list`, credentials and network"
        )
