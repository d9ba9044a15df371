"""Several processes fill one store at once: one may die, and nothing is computed twice."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from tiny_project import HERE, TinyProject

pytestmark = pytest.mark.slow

WORKERS, BATCH, SETUPS = 4, 4, 4
TRIED = (
    SETUPS * 12 * 2 + 5 - 2
)  # two prompts a sample and five that samples share; two are missing, one fails


@pytest.fixture
def project(tmp_path: Path) -> TinyProject:
    made = TinyProject(tmp_path / "project")
    made.set_world(setups=SETUPS)
    made.environment["STANDIN_NOTES"] = str(tmp_path / "notes")
    return made


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    """What a single run writes."""
    made = TinyProject(tmp_path / "whole")
    made.set_world(setups=SETUPS)
    made.works("python", str(HERE))
    return made.shards()


def begun(project: TinyProject) -> dict[int, list[int]]:
    """Units of each batch that each process began."""
    found: dict[int, list[int]] = {}
    path = Path(project.environment["STANDIN_NOTES"])
    for line in path.read_text().splitlines() if path.exists() else ():
        process, units = map(int, line.split())
        found.setdefault(process, []).append(units)
    return found


def test_four_fill_at_once_one_is_killed_and_the_sealed_out_is_that_of_a_single_run(
    project: TinyProject, whole: dict[str, bytes], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    workers = [
        project.begin(
            "python", str(HERE), "--fill", "--share", f"{number}/{WORKERS}", STANDIN_GATE=str(gate)
        )
        for number in range(1, WORKERS + 1)
    ]
    deadline = time.monotonic() + 60
    while (
        len(begun(project)) < WORKERS or min(map(len, begun(project).values())) < 3
    ):  # all wait in their third batch
        assert time.monotonic() < deadline
        time.sleep(0.02)
    workers[1].kill()
    gate.touch()
    for number, worker in enumerate(workers):
        _, printed = worker.communicate(timeout=60)
        assert worker.returncode == (-9 if number == 1 else 0), printed
    assert not (project.folder / "data").exists()  # workers write no table
    of_the_dead, done = begun(project)[workers[1].pid], sum(map(sum, begun(project).values()))
    assert len(of_the_dead) == 3

    project.works("python", str(HERE), "--fill", "--share", "1/1")  # anybody may finish its share
    assert project.segments() <= 2 * WORKERS
    again = sum(map(sum, begun(project).values())) - done
    printed = project.works("python", str(HERE))
    assert "made" not in printed and project.record()["computed"] == 0
    assert project.shards() == whole

    assert (
        done + again <= TRIED + BATCH + 1
    )  # the batch that was killed is done again; a unit that fails is tried by both


def test_a_launcher_s_processes_share_the_work(
    project: TinyProject, whole: dict[str, bytes]
) -> None:
    """`torchrun`, whose variables `accelerate launch` sets as well; no process group is needed."""
    launched = project.run(
        *(
            "python",
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            "2",
            str(HERE),
            "--fill",
        ),
        timeout=120,
    )
    assert launched.returncode == 0, launched.stderr
    assert "share 1/2" in launched.stdout and "share 2/2" in launched.stdout
    shares = [sum(batches) for batches in begun(project).values()]
    assert len(shares) == 2 and min(shares) > 0.3 * sum(shares)
    done = sum(shares)
    assert done == TRIED
    project.works("python", str(HERE))
    assert (
        sum(map(sum, begun(project).values())) == done
    )  # the bad one was handed over with its reason
    assert project.shards() == whole


def test_two_machines_see_one_store(
    project: TinyProject, whole: dict[str, bytes], tmp_path: Path
) -> None:
    """Two working copies, each with locks and logs of its own, and one folder of samples."""
    shared = str(tmp_path / "shared")
    Path(shared).mkdir()
    other = project.clone(tmp_path / "other")
    both = [
        copy.begin("python", str(HERE), "--fill", "--share", f"{number}/2", C2VL_STORE=shared)
        for number, copy in enumerate((project, other), 1)
    ]
    assert [worker.wait(60) for worker in both] == [0, 0]
    for copy in (project, other):
        done = subprocess.run(
            ["python", str(HERE)],
            cwd=copy.folder,
            env=copy.environment | {"C2VL_STORE": shared},
            check=True,
            timeout=60,
        )
        assert done.returncode == 0
        assert copy.shards() == whole
    assert len({process for process in begun(project) if process != os.getpid()}) >= 2
