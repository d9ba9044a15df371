"""The skeleton stage: rows equal to `denoise`, reasons for unusable files, no workers left."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ntu_text import Record, record, text

from c2vl.commands import quality
from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.files import read_json
from c2vl.datasets.skeleton_file import parse_skeleton
from c2vl.datasets.skeleton_params import SkeletonParams
from c2vl.datasets.skeletons.denoise import denoise
from c2vl.datasets.skeletons.skeleton_stage import SkeletonStage
from c2vl.store import run

NAMES = [f"S001C001P{subject:03d}R001A001" for subject in range(1, 5)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two usable files, one without bodies, one that is no skeleton text."""
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("C2VL_WORKERS", "1")
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(3)
    bodies = [
        record(random, frame, body)
        for frame in range(20)
        for body in ("7", "8")
        if body == "7" or frame > 3
    ]
    files = [
        text(20, bodies),
        text(20, [one for one in bodies if one.body == "7"]),
        text(5, []),
        b"not a skeleton",
    ]
    rows = []
    for name, data in zip(NAMES, files, strict=True):
        (tmp_path / f"{name}.skeleton").write_bytes(data)
        content = hashlib.blake2b(data, digest_size=16).hexdigest()
        rows.append(
            {
                "sample": name,
                "dataset": "studio",
                "skeleton_file": f"{name}.skeleton",
                "skeleton_hash": content,
            }
        )
    table = tables.table_of([row | {"status": "ok"} for row in rows], tables.schemas.index([]))
    tables.write(tmp_path / "index.parquet", table)
    return tmp_path


def ran(project: Path) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    notes: dict[str, Any] = {}
    params = SkeletonParams(rules="ctrgcn", solo="zeros", max_failed=0.8)
    run.run(SkeletonStage(params, project / "index.parquet", project), project / "out", notes)
    return {row["sample"]: row for row in tables.rows_of(tables.read(project / "out"))}, notes


def test_rows_are_the_lines_output_and_the_rest_has_a_reason(project: Path) -> None:
    rows, notes = ran(project)
    for name in NAMES[:2]:
        truth = denoise(parse_skeleton((project / f"{name}.skeleton").read_bytes()))
        assert np.array_equal(rows[name]["joints"].reshape(truth.joints.shape), truth.joints)
        assert np.array_equal(
            rows[name]["colour"].reshape(truth.colour.shape), truth.colour, equal_nan=True
        )
        assert (rows[name]["bodies"], rows[name]["status"], rows[name]["reason"]) == (
            truth.bodies,
            "ok",
            "",
        )
    assert [rows[name]["status"] for name in NAMES[2:]] == ["unusable", "unusable"]
    assert rows[NAMES[2]]["reason"] == "no frame of the skeleton file holds a body"
    assert (notes["computed"], notes["failed"], notes["why"]) == (2, 2, "first run")

    (project / f"{NAMES[0]}.skeleton").write_bytes(
        b"something else"
    )  # its result is known: the file is not read again
    (project / f"{NAMES[2]}.skeleton").write_bytes(b"something else")  # this one is tried again
    rows, notes = ran(project)
    assert rows[NAMES[0]]["status"] == "ok"
    assert rows[NAMES[2]]["status"] == "changed"
    assert (notes["computed"], notes["reused"]) == (0, 2)


def standing(unit: float, frame: int) -> Record:
    """A body whose spine is 0.5 m long, in a unit so many times smaller than a metre."""
    joints = np.zeros((25, 3), np.float32)
    joints[:, 2], joints[:, 1] = 3, np.linspace(0, 0.5, 25)
    joints[20, 1] = 0.5
    joints[:, 0] = 0.01 * frame
    return Record(frame, "7", joints * np.float32(unit))


@pytest.mark.parametrize(("unit", "flagged"), [(1.0, 0), (1000.0, 1), (100.0, 1), (0.1, 1)])
def test_skeletons_that_are_not_in_metres_are_named(
    project: Path, unit: float, flagged: int, caplog: pytest.LogCaptureFixture
) -> None:
    data = text(20, [standing(unit, frame) for frame in range(20)])
    (project / "a.skeleton").write_bytes(data)
    content = hashlib.blake2b(data, digest_size=16).hexdigest()
    row = {"sample": NAMES[0], "dataset": "studio", "skeleton_file": "a.skeleton"}
    row |= {"skeleton_hash": content, "status": "ok"}
    tables.write(project / "index.parquet", tables.table_of([row], tables.schemas.index([])))
    ran(project)
    found = read_json(project / "out" / "metrics.json")["not_in_metres"]
    assert found["samples"] == flagged
    assert found["example"] == (f"{NAMES[0]} ({0.5 * unit:.3g} m)" if flagged else "")
    assert ("not in metres" in caplog.text) == bool(flagged)
    (project / "data").mkdir()
    (project / "out").rename(project / "data/skeleton")
    with pytest.raises(UserError, match="no crops or answers"):
        quality.measure(project / "data")
    looks = "\n".join(quality.lines({"skeleton": {"not_in_metres": found}}))
    assert ("look: 1 skeletons are not in metres" in looks) == bool(flagged)


WORKER = """
import os, sys, time
from pathlib import Path
from c2vl.datasets.skeletons.skeleton_stage import SkeletonStage
from c2vl.datasets.skeleton_params import SkeletonParams
from c2vl.store import run

def waiting(payloads):
    Path("worker").write_text(str(os.getpid()))
    time.sleep(60)

class Waiting(SkeletonStage):
    def preparer(self):
        return waiting

if __name__ == "__main__":
    params = SkeletonParams(rules="ctrgcn", solo="zeros", max_failed=0.8)
    run.run(Waiting(params, Path("index.parquet"), Path(".")), Path("out"), {})
"""


def begun(project: Path) -> tuple[subprocess.Popen[str], int]:
    """A stage that waits for its worker, and that worker."""
    (project / "stage.py").write_text(WORKER)
    environment = os.environ | {"C2VL_WORKERS": "1"}
    stage = subprocess.Popen(
        [sys.executable, "stage.py"],
        cwd=project,
        text=True,
        env=environment,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 120
    while not (project / "worker").exists() or not (project / "worker").read_text():
        assert stage.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    return stage, int((project / "worker").read_text())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stage_whose_worker_is_busy_ends_when_it_is_told_to(
    project: Path, number: signal.Signals
) -> None:
    stage, worker = begun(project)
    with stage:
        stage.send_signal(number)
        assert stage.wait(60) != 0
    wait_for_the_end_of(worker)


def test_a_stage_whose_worker_is_killed_says_so_and_ends(project: Path) -> None:
    stage, worker = begun(project)
    with stage:
        os.kill(worker, signal.SIGKILL)
        _, printed = stage.communicate(timeout=60)
    assert stage.returncode == 1
    assert "skeleton: a worker process was killed, most likely for lack of memory" in printed


def test_workers_end_with_a_killed_stage(project: Path) -> None:
    stage, worker = begun(project)
    with stage:
        assert alive(worker)
        stage.send_signal(signal.SIGKILL)
    wait_for_the_end_of(worker)


def wait_for_the_end_of(worker: int) -> None:
    for _ in range(200):
        if not alive(worker):
            return
        time.sleep(0.1)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker outlived its stage by 20 seconds")


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
