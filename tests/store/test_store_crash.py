"""SIGKILL at any moment of any stage: a rerun gives an uninterrupted run's bytes, and loses little.

The stages, their inputs and their engines are real (`crash_lab.py`). Some kills come after a random
time; the others at a step of publishing: such steps are too short to be hit by chance. Steps are of
one kind if the same functions lead to them. Of the five stages, which publish alike, one that has
a kind is killed before such a step, and the next one after it. The stand-in is killed before each
single step.
"""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path

import crash_lab
import pytest

pytestmark = pytest.mark.slow

TIMED = 8  # kills of each stage after a random time
WORKER_KILLS = 4


@dataclass
class Lab:
    """Inputs and uninterrupted outputs of all stages, and the process that forks attempts."""

    context: ForkServerContext
    world: Path
    steps: dict[str, list[str]]
    units: dict[str, int]
    seconds: dict[str, float]

    def begin(
        self, stage: str, trial: Path, kill: crash_lab.Kill = None, **settings: str
    ) -> multiprocessing.context.ForkServerProcess:
        """Start an attempt at `stage` with its store in `trial`."""
        trial.mkdir(parents=True, exist_ok=True)
        arguments = (stage, self.world, trial, trial / "out", kill, settings)
        process = self.context.Process(target=crash_lab.attempt, args=arguments)
        process.start()
        return process

    def finish(self, stage: str, trial: Path, **settings: str) -> None:
        """Run `stage` again to its end and hold its out to the uninterrupted one."""
        wait_for_orphans(trial)
        process = self.begin(stage, trial, **settings)
        process.join(60)
        assert process.exitcode == 0, (trial / "printed").read_text()
        assert content(trial / "out") == content(self.world / stage)
        assert not list((trial / "home").rglob("*.damaged"))


def content(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def notes(trial: Path) -> list[tuple[int, int]]:
    """(process, units) of each call that computed, over all attempts."""
    path = trial / "notes"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(process), int(units)) for process, units in map(str.split, lines)]


def computed(trial: Path) -> int:
    return sum(units for _, units in notes(trial))


def wait_for_orphans(trial: Path) -> None:
    """Workers end with their parent, but it takes them some milliseconds.

    A process that was being started holds its parent's lock until it is started.
    """
    deadline = time.monotonic() + 10
    for process in {process for process, _ in notes(trial)}:
        while Path(f"/proc/{process}").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
    for lock in trial.rglob("locks/*.lock"):
        with lock.open() as file:
            while time.monotonic() < deadline:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(0.005)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        here = str(Path(crash_lab.__file__).parent)
        patch.setenv(
            "PYTHONPATH",
            os.pathsep.join([here, str(crash_lab.ROOT), os.environ.get("PYTHONPATH", "")]),
        )
        patch.setenv("OMP_NUM_THREADS", "1")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["crash_lab_warm"])
        made = context.Process(target=crash_lab.make_world, args=(folder / "world",))
        made.start()
        made.join()
        assert made.exitcode == 0
        lab = Lab(context, folder / "world", {}, {}, {})
        for stage in (*crash_lab.STAGES, "standin"):
            trial = folder / "whole" / stage
            began = time.monotonic()
            process = lab.begin(stage, trial)
            process.join()
            lab.seconds[stage] = time.monotonic() - began
            assert process.exitcode == 0, (trial / "printed").read_text()
            shutil.move(trial / "out", lab.world / stage)
            lab.steps[stage] = (trial / "steps").read_text().splitlines()
            lab.units[stage] = computed(trial)
        yield lab


def kills_of(lab: Lab, stage: str, chance: random.Random) -> Iterator[crash_lab.Kill]:
    """Kills at the stage's share of all kinds of steps; None: after a random time."""
    yield from [None] * TIMED
    kinds = {kind for one in crash_lab.STAGES for kind in lab.steps[one]}
    for position, kind in enumerate(sorted(kinds)):
        having = [one for one in crash_lab.STAGES if kind in lab.steps[one]]
        for place, moment in enumerate(("before", "after")):
            if having[(position + place) % len(having)] == stage:
                yield moment, kind, chance.randint(1, lab.steps[stage].count(kind))


@pytest.mark.parametrize("stage", crash_lab.STAGES)
def test_killed_at_any_moment_a_rerun_ends_with_the_same_bytes_and_loses_a_batch_a_process(
    lab: Lab, tmp_path: Path, stage: str
) -> None:
    """A kill may come too late, as runs differ in their batches; it is then tried again."""
    chance = random.Random(stage)
    for number, kill in enumerate(kills_of(lab, stage, chance)):
        for again in range(20):
            trial = tmp_path / f"{number}-{again}"
            # The first step of a kind is in every run.
            process = lab.begin(stage, trial, (*kill[:2], 1) if kill and again else kill)
            if not kill:
                time.sleep(chance.uniform(0, lab.seconds[stage]))
                process.kill()
            process.join(60)
            if process.exitcode == -signal.SIGKILL:
                break
            assert process.exitcode == 0, (trial / "printed").read_text()
            if kill and kill[1] not in (trial / "steps").read_text().splitlines():
                break  # a quicker run flushes less often, and may lack this kind
        else:
            raise AssertionError(f"never killed at {kill}")
        lab.finish(stage, trial)
        in_flight = 2 if stage == "skeleton" else 1  # the worker's, and one being published
        assert computed(trial) <= lab.units[stage] + in_flight * crash_lab.BATCH
        shutil.rmtree(trial)


def test_killed_at_each_step_of_publishing_merging_and_sealing_in_turn(
    lab: Lab, tmp_path: Path
) -> None:
    """Before every call that makes, flushes, renames or removes a file; with a stand-in engine."""
    for step in range(1, len(lab.steps["standin"]) + 1):
        trial = tmp_path / str(step)
        process = lab.begin("standin", trial, ("before", "", step))
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        lab.finish("standin", trial)
        assert (
            computed(trial) <= lab.units["standin"] + 4 + 1
        )  # a batch, and the unit that fails and is tried again


@pytest.mark.parametrize("stage", ["crop", "caption", "vision"])
def test_prepared_in_processes_the_outs_have_the_same_bytes(
    lab: Lab, tmp_path: Path, stage: str
) -> None:
    """The detector, the captioner and the encoder on what processes handed over."""
    begun = lab.begin(stage, tmp_path, C2VL_PREPARE="processes", LAB_THREADS="forbidden")
    begun.join(60)
    assert begun.exitcode == 0, (tmp_path / "printed").read_text()
    assert content(tmp_path / "out") == content(lab.world / stage)


def test_killed_while_processes_prepare_a_rerun_ends_with_the_same_bytes_and_loses_a_batch(
    lab: Lab, tmp_path: Path
) -> None:
    begun = lab.begin(
        "crop",
        tmp_path,
        ("before", "", len(lab.steps["crop"]) // 2),
        C2VL_PREPARE="processes",
        LAB_THREADS="forbidden",
    )
    begun.join(60)
    assert begun.exitcode == -signal.SIGKILL, (tmp_path / "printed").read_text()
    lab.finish("crop", tmp_path)
    assert computed(tmp_path) <= lab.units["crop"] + crash_lab.BATCH


@pytest.mark.parametrize("write", ["", "1"], ids=["small batches", "batches workers write"])
def test_a_killed_stage_with_real_workers_loses_a_batch_a_process(
    lab: Lab, tmp_path: Path, write: str
) -> None:
    """A small batch passes through the parent: one more may be on its way, of each worker."""
    settings = {"C2VL_PREPARE": "processes", "LAB_DELAY": "0.05", "LAB_WRITE": write}
    process = lab.begin("skeleton", tmp_path, **settings)
    while len(notes(tmp_path)) < 3:
        assert process.is_alive(), (tmp_path / "printed").read_text()
        time.sleep(0.005)
    process.kill()
    process.join(60)
    lab.finish("skeleton", tmp_path)
    in_flight = 1 if write else 2
    assert computed(tmp_path) <= lab.units["skeleton"] + in_flight * crash_lab.BATCH


def test_a_killed_worker_process_is_said_and_costs_its_batch(lab: Lab, tmp_path: Path) -> None:
    """Real workers, as the stage starts them."""
    chance = random.Random(0)
    for number in range(WORKER_KILLS):
        trial = tmp_path / str(number)
        process = lab.begin(
            "skeleton",
            trial,
            C2VL_PREPARE="processes",
            LAB_DELAY="0.05",
            LAB_WRITE="1" if number % 2 else "",
        )
        while not notes(trial):
            assert process.is_alive(), (trial / "printed").read_text()
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.25))
        os.kill(notes(trial)[0][0], signal.SIGKILL)
        process.join(60)
        assert process.exitcode == 1
        line = (trial / "printed").read_text().splitlines()[-1]
        assert line.startswith("c2vl: skeleton: a worker process was killed") and line.endswith(
            "what it finished is kept."
        )
        lab.finish("skeleton", trial)
        assert computed(trial) <= lab.units["skeleton"] + 2 * crash_lab.BATCH
