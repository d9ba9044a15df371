"""Run the real stages on a few samples in a project of their own, and take from their logs what a unit costs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from c2vl import tables
from c2vl.errors import UserError
from c2vl.files import read_json
from c2vl.tables.schemas import OK
from c2vl.works import INDEX, STAGES, StoredStage

OWN = {"data", "results", "truth", ".c2vl", ".dvc", ".git", "dvc.lock"}  # of a project; all else a trial borrows


@dataclass(frozen=True)
class Cost:
    """What the trial's samples cost in one stage.

    Attributes:
        units: computed, failed ones among them.
        usable: of these, those with a result; they are what the next stage gets.
        seconds: in the filling alone.
        fixed: all other seconds of the stage: interpreter, loading the engine, sealing.
        bytes: that the store wrote for them.
    """

    units: int
    usable: int
    seconds: float
    fixed: float
    bytes: int


def chosen(index: pa.Table, count: int) -> pa.Table:
    """`count` usable samples spread evenly over the index, those with a video first."""
    usable = index.filter(pa.compute.equal(index["status"], OK))
    filmed = usable.filter(pa.compute.is_valid(usable["video_file"]))
    pool = filmed if len(filmed) else usable
    if not len(pool):
        raise UserError(f"{INDEX} has no usable sample; its column `reason` says why.")
    return pool.take(np.unique(np.linspace(0, len(pool) - 1, min(count, len(pool))).round().astype(int)))


@contextmanager
def project(index: pa.Table) -> Iterator[Path]:
    """A folder that is this project to the stages, but with `index` alone as data and an empty store."""
    with TemporaryDirectory(prefix="c2vl-plan-") as name:
        folder = Path(name)
        for entry in Path(".").iterdir():
            if entry.name not in OWN:
                (folder / entry.name).symlink_to(entry.resolve())
        tables.write(folder / INDEX, index)
        shutil.copy(INDEX.parent / "classes.json", folder / INDEX.parent)
        for entry in Path("data").iterdir():  # raw files may lie beside the outs
            if entry.name not in {"index", "skeleton", "crop", "caption", "embed"}:
                (folder / "data" / entry.name).symlink_to(entry.resolve())
        yield folder


def cost(stage: StoredStage, folder: Path) -> Cost:
    """Run one stage in the trial's project.

    Raises:
        UserError: the stage failed there; its own sentence is passed on.
    """
    script, *arguments = stage.target.split("@")
    environment = {**os.environ, "C2VL_HOME": str(folder / ".c2vl"), "C2VL_STORE": str(folder / ".c2vl" / "store")}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(Path("stages") / f"{script}.py"), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1].removeprefix("c2vl: ")
        raise UserError(f"The trial of {stage.name} failed: {said}")
    record = read_json(folder / ".c2vl" / "runs" / f"{stage.name}.json")
    store = folder / ".c2vl" / "store" / stage.name
    written = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    units, seconds = record["computed"] + record["failed"], record["fill_seconds"]
    return Cost(units, record["computed"], seconds, max(0.0, record["seconds"] - seconds), written)


def costs(index: pa.Table, stages: Sequence[StoredStage] = STAGES) -> Iterator[tuple[StoredStage, Cost]]:
    """The stages in their order, each with what the samples of `index` cost there."""
    with project(index) as folder:
        for stage in stages:
            yield stage, cost(stage, folder)
