"""Run the real stages on a few samples in a temporary project, and measure what a unit costs."""

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
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from c2vl.commands.pipeline.store_stages import INDEX, STAGES, StoredStage
from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.files import read_json, write_bytes
from c2vl.core.layout_file import read_layout, write_layout
from c2vl.core.machine import state_dir
from c2vl.core.params import PARAMS_FILE, read_params
from c2vl.core.tables.schemas import OK

# What belongs to a project alone; the temporary project links to everything else.
OWN = {"data", "results", "truth", ".c2vl", ".dvc", ".git", "dvc.lock", PARAMS_FILE.name}
TABLES = {"index", *(stage.out.parts[1] for stage in STAGES)}  # in `data`
# Files about this machine and its checkpoints: measuring a GPU's batch sizes takes minutes.
KNOWN = ("machine.json", "digests.json")
# Samples of a second trial, for a stage whose worker processes take much longer to start than a
# sample takes.
MANY = 1000


@dataclass(frozen=True)
class Cost:
    """What the trial's samples cost in one stage.

    Attributes:
        units: computed units, including failed ones.
        usable: units with a result; the next stage gets them.
        each: seconds a unit, without start-up.
        fixed: all other seconds of the stage: starting Python, loading the engine, its first
            batch, writing the output table.
        bytes: written to the store.
        memory: largest number of bytes on the GPU; 0 on a CPU.
    """

    units: int
    usable: int
    each: float
    fixed: float
    bytes: int
    memory: int = 0


@dataclass(frozen=True)
class Failed:
    """Why a stage could not be measured."""

    reason: str


def chosen(index: pa.Table, count: int) -> pa.Table:
    """`count` usable samples, spread evenly over the index.

    If some samples have a video, only those are taken.

    Raises:
        UserError: no sample is usable.
    """
    usable = index.filter(pc.equal(index["status"], OK))
    filmed = usable.filter(pc.is_valid(usable["video_file"]))
    pool = filmed if len(filmed) else usable
    if not len(pool):
        raise UserError(f"{INDEX} has no usable sample; its column `reason` says why.")
    return pool.take(
        np.unique(np.linspace(0, len(pool) - 1, min(count, len(pool))).round().astype(int))
    )


@contextmanager
def project() -> Iterator[Path]:
    """A temporary folder that looks like this project to the stages, with an empty store.

    What is known about the machine is copied into it, and what the trial finds out is copied back.
    """
    with TemporaryDirectory(prefix="c2vl-plan-") as name:
        folder = Path(name)
        for entry in Path(".").iterdir():
            if entry.name not in OWN:
                (folder / entry.name).symlink_to(entry.resolve())
        write_bytes(
            folder / PARAMS_FILE,
            yaml.safe_dump(portable_params(read_params()), sort_keys=False).encode(),
        )
        (folder / INDEX).parent.mkdir(parents=True)
        shutil.copy(INDEX.parent / "classes.json", folder / INDEX.parent)
        write_layout(folder / INDEX.parent, read_layout(Path("data")))
        for entry in Path("data").iterdir():  # raw files may lie beside the tables
            if entry.name not in TABLES:
                (folder / "data" / entry.name).symlink_to(entry.resolve())
        _copy_known(state_dir(), folder / ".c2vl")
        yield folder
        _copy_known(folder / ".c2vl", state_dir())


def _copy_known(here: Path, there: Path) -> None:
    for name in KNOWN:
        if (here / name).is_file():
            write_bytes(there / name, (here / name).read_bytes())


def portable_params(params: Any) -> Any:
    """Change parameters so that they work in another folder and in a trial.

    Paths with `..` become absolute. `max_failed` becomes 1, because a single failed sample is a
    large share of a trial.
    """
    if isinstance(params, dict):
        return {
            key: 1.0 if key == "max_failed" else portable_params(value)
            for key, value in params.items()
        }
    if isinstance(params, list):
        return [portable_params(value) for value in params]
    if isinstance(params, str) and ".." in Path(params).parts:
        return os.path.abspath(params)
    return params


def cost(stage: StoredStage, folder: Path, index: pa.Table, many: pa.Table | None = None) -> Cost:
    """Measure one stage on the samples of `index` in the temporary project `folder`.

    An engine is timed from its second batch on. A stage of worker processes has no such batch: it
    runs again with `many` samples, computes the new ones, and the difference is their cost.

    Raises:
        UserError: the stage failed; the message holds its own.
    """
    record = _run(stage, folder, index)
    written = sum(
        path.stat().st_size
        for path in (folder / ".c2vl" / "store" / stage.name).rglob("*")
        if path.is_file()
    )
    units, seconds = record["computed"] + record["failed"], record["fill_seconds"]
    each = seconds / units if units else 0.0
    if 0 < record["first_units"] < units:
        each = record["later_seconds"] / (units - record["first_units"])
    elif many is not None and units:
        more = _run(stage, folder, many)
        new, longer = more["computed"] + more["failed"], more["fill_seconds"] - seconds
        if new > units:
            each = min(each, longer / (new - units) if longer > 0 else more["fill_seconds"] / new)
        _run(stage, folder, index)  # so that the next stages get the few samples again
    elif record["first_units"]:
        each = record["engine_seconds"] / units
    fixed = max(0.0, record["seconds"] - units * each)
    memory = round(record.get("peak_gpu_mib", 0) * 2**20)
    return Cost(units, record["computed"], each, fixed, written, memory)


def _run(stage: StoredStage, folder: Path, index: pa.Table) -> dict[str, Any]:
    """Run the stage on the samples of `index`; return its record of the run log."""
    tables.write(folder / INDEX, index)
    script, *arguments = stage.target.split("@")
    environment = {name: value for name, value in os.environ.items() if name != "C2VL_STORE"}
    environment["C2VL_HOME"] = str(folder / ".c2vl")
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).resolve().parents[3]), os.environ.get("PYTHONPATH", "")]
    )
    command = [sys.executable, str(Path("stages") / f"{script}.py"), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it gave no reason"]
        raise UserError(f"The trial of {stage.name} failed: {lines[-1].removeprefix('c2vl: ')}")
    record: dict[str, Any] = read_json(folder / ".c2vl" / "runs" / f"{stage.name}.json")
    return record


def costs(
    index: pa.Table, count: int, stages: Sequence[StoredStage] = STAGES
) -> Iterator[tuple[StoredStage, Cost | Failed]]:
    """Measure the stages in their order on `count` samples of `index`.

    Yields:
        A stage, and its cost or why it could not be measured.

    Raises:
        UserError: no sample is usable.
    """
    few, many = chosen(index, count), chosen(index, MANY)
    broken: set[str] = set()
    names = {stage.name for stage in stages}
    with project() as folder:
        for stage in stages:
            try:
                if before := broken.intersection(stage.after):
                    raise UserError(f"{stage.name} needs {sorted(before)[0]}, whose trial failed.")
                found: Cost | Failed = cost(
                    stage, folder, few, None if names.intersection(stage.after) else many
                )
            except UserError as error:
                broken.add(stage.name)
                found = Failed(str(error))
            yield stage, found
