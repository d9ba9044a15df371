"""Video decoders, git and DVC's remote."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from c2vl.commands.checks.finding import Finding

REMOTE_ANSWERS_WITHIN = 20.0  # seconds


def decoders() -> Iterator[Finding]:
    """Write a small video and read it back through the pipeline's own decoder."""
    import cv2

    from c2vl.datasets.video.decode import decode

    try:
        import decord

        yield Finding("ok", "decord", str(decord.__version__))
    except ImportError:
        yield Finding("note", "decord", "absent on this platform; OpenCV decodes instead")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"XVID"), 30.0, (64, 48))
        for level in range(0, 240, 24):
            writer.write(np.full((48, 64, 3), level, np.uint8))
        writer.release()
        frames = decode(path, [0, 9]).frames
    seen = [round(float(np.mean(frame))) for _, frame in sorted(frames.items())]
    if len(seen) != 2 or abs(seen[0] - 0) > 8 or abs(seen[1] - 216) > 8:
        yield Finding(
            "FAIL",
            "video",
            f"frames 0 and 9 of a test video came back as levels {seen}",
            "install again: make install",
        )
    else:
        yield Finding(
            "ok", "video", f"an AVI written and read back frame by frame, OpenCV {cv2.__version__}"
        )


def git() -> Iterator[Finding]:
    """DVC keeps its lock file in git, and refuses to run without."""
    here = Path.cwd()
    if any((folder / ".git").exists() for folder in (here, *here.parents)):
        yield Finding("ok", "git", "a repository, as DVC wants it")
        return
    told = "".join(
        path.read_text(encoding="utf-8")
        for path in (Path(".dvc/config"), Path(".dvc/config.local"))
        if path.is_file()
    )
    if "no_scm = true" in told.lower():
        yield Finding("ok", "git", "none, and DVC is told so (core.no_scm)")
        return
    todo = "`git init`, or to go without git: `dvc config --local core.no_scm true`"
    yield Finding("FAIL", "git", "this folder is in no git repository, and DVC wants one", todo)


def remote() -> Iterator[Finding]:
    """DVC's default remote: configured, and answering. A child asks, so that a dead network cannot hold us."""
    ask = (
        "from dvc.repo import Repo\n"
        "repo = Repo('.')\n"
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
            "check network and `dvc remote list`",
        )
        return
    lines = done.stdout.splitlines()
    if "none" in lines:
        yield Finding(
            "note",
            "DVC remote",
            "none; fine alone, a lab shares through `dvc remote add -d lab URL`",
        )
    elif "answers" in lines or "empty" in lines:
        first = "" if "answers" in lines else ", nothing there yet: the first `dvc push` makes it"
        yield Finding("ok", "DVC remote", f"{lines[0].removeprefix('name ')} answers{first}")
    else:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1][:200]
        if "not a git repository" in said:
            return  # `git` tells what to do
        yield Finding(
            "FAIL", "DVC remote", said, "check `dvc remote list`, credentials and network"
        )
