"""Show the pipeline: each stage once, with the stages that it needs.

  c2vl dag

`dvc dag` draws every item of every stage (such as pretrain@xsub-joint) and every edge: 1,900
columns in the demo. Here a stage has one line, however many items it has, and an edge that follows
from others is left out. For a drawing run `dvc dag --collapse-foreach-matrix --md` (Mermaid, which
GitHub and VS Code render), or with `--dot` (Graphviz).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping

from c2vl.core.errors import UserError

HELP = "show the stages of the pipeline, and which need which"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments."""


def run(arguments: argparse.Namespace) -> None:
    """Print the stages.

    Raises:
        UserError: DVC cannot read the pipeline.
    """
    names = Counter(name.partition("@")[0] for name in _dvc("stage", "list", "--name-only").split())
    drawn = _dvc("dag", "--collapse-foreach-matrix", "--dot")
    for line in lines(needs_of(drawn, names), names):
        print(line)


def needs_of(dot: str, names: Mapping[str, int]) -> dict[str, set[str]]:
    """What each stage needs, out of a graph in the language of Graphviz."""
    needs: dict[str, set[str]] = {name: set() for name in names}
    for one, other in re.findall(r'"?([\w@-]+)"?\s*->\s*"?([\w@-]+)"?', dot):
        needs[other].add(one)
    return needs


def lines(needs: Mapping[str, set[str]], names: Mapping[str, int]) -> Iterator[str]:
    """A line a stage, after those that it needs; needs that follow from others are left out."""
    above = {name: _above(name, needs) for name in needs}
    done: list[str] = []
    while len(done) < len(needs):
        done += [name for name in needs if name not in done and needs[name] <= set(done)][:1]
    for name in done:
        direct = {
            need for need in needs[name] if not any(need in above[other] for other in needs[name])
        }
        cells = f" ×{names[name]}" if names[name] > 1 else ""
        yield f"{name + cells:20} {', '.join(sorted(direct, key=done.index))}".rstrip()


def _above(name: str, needs: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(needs[name])
    while waiting:
        found.add(need := waiting.pop())
        waiting += needs[need] - found
    return found


def _dvc(*arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"`dvc {' '.join(arguments)}` failed: {last}")
    return done.stdout
