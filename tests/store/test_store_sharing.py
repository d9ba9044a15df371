"""Shares of a stage and seeds from an output: nothing is computed twice or taken wrongly."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import standin_stage
from hypothesis import given
from hypothesis import strategies as st
from standin_stage import Stage, Stop, sample, world

from c2vl.commands.pipeline.dvc_status import changed_before
from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.store import failures, plan, publish, run, seed
from c2vl.store.missing import Missing, blocks
from c2vl.store.share import ALL, Share, share_of, share_of_environment
from c2vl.store.stage import Unit
from c2vl.store.status import status_of


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("C2VL_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def ran(stage: Stage, out: Path) -> dict[str, Any]:
    notes: dict[str, Any] = {}
    run.run(stage, out, notes)
    return notes


def filled(stage: Stage, share: Share, out: Path) -> dict[str, Any]:
    notes: dict[str, Any] = {}
    run.fill_share(stage, out, share, notes)
    return notes


def content(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def good(contents: standin_stage.Contents) -> set[bytes]:
    return {
        prompt
        for prompts in contents.values()
        for prompt in prompts
        if prompt and not prompt.startswith(b"bad")
    }


def prompts(contents: standin_stage.Contents) -> list[bytes]:
    """Of all rows that can be answered, equal ones too."""
    return [
        prompt
        for asked in contents.values()
        for prompt in asked
        if prompt and not prompt.startswith(b"bad")
    ]


def test_what_is_foretold_of_an_empty_store_tells_equal_prompts_from_those_that_are_there(
    tmp_path: Path,
) -> None:
    seen = status_of(Stage(world()), tmp_path / "out")
    assert (seen.count(), seen.kept(), seen.lacking, seen.rows) == (
        len(good(world())) + 1,
        0,
        71,
        71,
    )
    filled(Stage(world()), ALL, tmp_path / "out")
    seen = status_of(Stage(world()), tmp_path / "out")
    assert (seen.count(), seen.kept(), seen.lacking, len(seen.given)) == (0, 70, 1, 1)


# --- shares ---


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_shares_compute_everything_once_and_the_stage_then_only_seals(
    tmp_path: Path, count: int
) -> None:
    ran(Stage(world(3), size=4), tmp_path / "alone")
    shutil.rmtree(tmp_path / "home")
    workers = [Stage(world(3), size=4) for _ in range(count)]
    for index, stage in enumerate(workers, 1):
        filled(stage, Share(index, count), tmp_path / "out")
    asked = [prompt for stage in workers for prompt in stage.asked]
    assert sorted(asked) == sorted(
        good(world(3)) | {b"bad pixels"}
    )  # equal prompts too, whoever has them
    assert not (tmp_path / "out").exists()
    writing = Stage(world(3), size=4, raise_at=0)
    notes = ran(writing, tmp_path / "out")
    assert (notes["computed"], writing.loaded) == (
        0,
        0,
    )  # not even for the failure, which the workers handed over
    assert content(tmp_path / "out") == content(
        tmp_path / "alone"
    )  # answers depend on the batch: the shares cut none


def test_shares_do_not_move_with_the_batch_size(tmp_path: Path) -> None:
    units = [
        Unit({"sample": name, "k": k}, f"{name}{k}".encode())
        for name in world(1, 99)
        for k in range(3)
    ]
    assert [len(block) for block in blocks(units)][:-1] == [
        30
    ] * 9  # 297 units: no more than 32, whole samples
    workers = [Stage(world(3), size=size) for size in (1, 5, 64)]
    for index, stage in enumerate(workers, 1):
        filled(stage, Share(index, 3), tmp_path / "out")
    asked = [prompt for stage in workers for prompt in stage.asked]
    assert len(asked) == len(set(asked)) == len(good(world(3))) + 1


def test_a_worker_leaves_what_others_did_meanwhile(tmp_path: Path) -> None:
    contents = {name: prompts[:1] for name, prompts in world(1, 200).items()}
    late = Stage(contents, size=8, company=False)

    class Early(Stage):
        def compute(self, units: Any, ready: Any) -> Any:
            if (
                self.batches == 0
            ):  # another worker, started with other numbers, does everything in the meantime
                filled(late, ALL, tmp_path / "out")
            return super().compute(units, ready)

    early = Early(contents, size=8, company=False)
    filled(early, ALL, tmp_path / "out")
    assert len(late.asked) >= 199
    block = len(next(blocks(early.units("S001C001", "f"))))
    assert len(early.asked) <= 2 * block  # the one in work, and one that was being read


def test_failures_handed_over_are_sealed_once_and_tried_again_by_the_next_run(
    tmp_path: Path,
) -> None:
    filled(Stage(world()), ALL, tmp_path / "out")
    store = plan.open_store(Stage(world()))[0]
    assert [failure.reason for failure in failures.passed_on(store.folder).values()] == [
        "no answer"
    ]
    (tmp_path / "full").touch()
    with pytest.raises(
        UserError, match=r"The output .*full cannot be used"
    ):  # the table is not written yet, so the next run takes their failures over
        ran(Stage(world(), raise_at=0), tmp_path / "full")
    assert ran(Stage(world(), raise_at=0), tmp_path / "out")["failed"] == 2
    assert failures.passed_on(store.folder) == {}
    noted = failures.failed_last_time(store.folder)
    assert [(note["sample"], note["k"], note["status"]) for note in noted] == [
        (sample(1, 2), 1, "empty")
    ]
    again = Stage(world(), company=False)
    again.question = "what?"
    ran(again, tmp_path / "out")
    assert again.asked == [b"bad pixels"]


def test_too_many_failures_of_workers_do_not_stand_in_the_way_for_ever(tmp_path: Path) -> None:
    contents: standin_stage.Contents = {
        sample(1, number): [b"bad %d" % number] for number in range(1, 9)
    }
    contents[sample(1, 9)] = [b"good"]
    filled(Stage(contents, max_failed=0.99), ALL, tmp_path / "out")
    with pytest.raises(UserError, match="max_failed"):
        ran(Stage(contents, max_failed=0.1), tmp_path / "out")
    mended: standin_stage.Contents = dict(contents)

    class Mended(Stage):
        def compute(self, units: Any, ready: Any) -> Any:
            return [{"answer": "yes", "finished": True} for _ in ready]

    done = ran(Mended(mended, max_failed=0.1), tmp_path / "out")
    assert (done["failed"], done["why"]) == (0, "8 failed before")


RANKS = {
    "alone": ({}, Share(1, 1)),
    "torchrun or accelerate": ({"RANK": "3", "WORLD_SIZE": "8"}, Share(4, 8)),
    "srun": ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "4"}, Share(1, 4)),
    "a batch script outside srun": ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, Share(1, 1)),
    "array 5-19:5": (
        {
            "SLURM_ARRAY_TASK_ID": "10",
            "SLURM_ARRAY_TASK_COUNT": "3",
            "SLURM_ARRAY_TASK_MIN": "5",
            "SLURM_ARRAY_TASK_STEP": "5",
        },
        Share(2, 3),
    ),
    "accelerate in an array": (
        {
            "SLURM_ARRAY_TASK_ID": "1",
            "SLURM_ARRAY_TASK_COUNT": "2",
            "SLURM_ARRAY_TASK_MIN": "0",
            "RANK": "1",
            "WORLD_SIZE": "4",
        },
        Share(6, 8),
    ),
}


@pytest.mark.parametrize("name", RANKS)
def test_the_launcher_says_which_share(name: str) -> None:
    environment, expected = RANKS[name]
    assert share_of_environment(environment) == expected


def test_shares_that_are_none_are_refused() -> None:
    assert share_of("2/8") == Share(2, 8)
    for text in ("0/8", "9/8", "2", "a/b", "-1/2"):
        with pytest.raises(UserError, match="2/8"):
            share_of(text)
    gaps = {"SLURM_ARRAY_TASK_ID": "9", "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_ARRAY_TASK_MIN": "0"}
    with pytest.raises(UserError, match="--share"):
        share_of_environment(gaps)


@given(blocks=st.integers(0, 50), count=st.integers(1, 12))
def test_every_block_is_in_one_share(blocks: int, count: int) -> None:
    shares = [Share(index + 1, count) for index in range(count)]
    taken = [sum(share.takes(block) for share in shares) for block in range(blocks)]
    assert taken == [1] * blocks
    sizes = [sum(share.takes(block) for block in range(blocks)) for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_a_batch_is_in_the_store_as_soon_as_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "FLUSH_SECONDS", 3600.0)
    monkeypatch.setattr(publish.Publisher, "__exit__", lambda *_: None)  # SIGKILL flushes nothing
    killed = Stage(world(), size=4, raise_at=5)
    with pytest.raises(Stop):
        ran(killed, tmp_path / "out")
    assert len(plan.open_store(Stage(world()))[0].known()) == len(
        set(killed.asked) - {b"bad pixels"}
    )


# --- seeds ---


def without_store(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "home")


def test_an_out_seeds_an_empty_store_and_only_the_difference_is_computed(tmp_path: Path) -> None:
    ran(Stage(world(2), company=False), tmp_path / "out")
    old = content(tmp_path / "out")
    without_store(tmp_path)
    again = Stage(world(2), company=False)
    seen = status_of(again, tmp_path / "out")
    assert (seen.count(), seen.kept(), seen.seeded, seen.lacking) == (
        1,
        0,
        len(prompts(world(2))),
        1,
    )
    assert next(seen.reasons()) == "1 failed before: no answer (1)"
    notes = ran(again, tmp_path / "out")
    assert (notes["computed"], notes["why"]) == (0, "1 failed before")
    assert again.asked == [b"bad pixels"]  # a failure is nobody's seed
    assert content(tmp_path / "out") == old
    without_store(tmp_path)
    more = Stage(world(3), company=False)
    notes = ran(more, tmp_path / "out")
    assert set(more.asked) - {b"bad pixels"} == good(world(3)) - good(world(2))
    assert notes["computed"] == len(good(world(3)) - good(world(2)))
    without_store(tmp_path)
    ran(Stage(world(3), company=False), tmp_path / "fresh")
    assert content(tmp_path / "fresh") == content(tmp_path / "out")


def test_an_out_made_under_another_question_seeds_nothing(tmp_path: Path) -> None:
    ran(Stage(world(), question="why?", company=False), tmp_path / "out")
    without_store(tmp_path)
    assert ran(Stage(world(), company=False), tmp_path / "out")["computed"] == len(good(world()))


def test_a_damaged_or_foreign_shard_seeds_nothing(tmp_path: Path) -> None:
    ran(Stage(world(1), company=False), tmp_path / "out")
    shard = tmp_path / "out" / "S001C001.parquet"
    store, _ = plan.open_store(Stage(world(1), company=False))
    planned = plan.plan(Stage(world(1), company=False), store)
    stage, keys = Stage(world(1), company=False), sorted(store.known())

    def taken(*sources: seed.Source) -> int:
        missing = Missing(["S001C001"], [np.array(keys, "S16")], [np.ones(len(keys), bool)])
        return seed.seed(store, stage, planned.columns, missing, list(sources))

    assert taken(seed.Source(shard)) == len(keys)
    assert taken(seed.Source(shard, "0" * 32)) == 0  # not what DVC put there
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    assert taken(seed.Source(shard)) == 0
    tables.write(shard, pa.table({"sample": ["a"], "status": ["ok"]}))
    assert taken(seed.Source(shard), seed.Source(tmp_path / "gone.parquet")) == 0


def dvc(folder: Path, *arguments: str) -> str:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("C2VL_", "DVC_"))
    }
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(Path(standin_stage.__file__).parent), environment.get("PYTHONPATH", "")]
    )
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


STAGE = """
import json, sys
from pathlib import Path
from c2vl.core.messages import show_messages
from c2vl.store import run
from standin_stage import Stage, world
show_messages()
notes = {}
stage = Stage(world(json.loads(Path("setups.json").read_text())), company=False)
run.run(stage, Path("data/caption"), notes)
Path("notes.json").write_text(json.dumps(notes))
"""


@pytest.mark.slow
def test_the_last_version_in_dvcs_cache_seeds_an_empty_store_although_dvc_removed_the_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "setups.json").write_text("2")
    stage = {
        "cmd": f"{sys.executable} stage.py",
        "deps": ["stage.py", "setups.json"],
        "outs": ["data/caption"],
    }
    (tmp_path / "dvc.yaml").write_text(json.dumps({"stages": {"caption": stage}}))
    dvc(tmp_path, "init", "-q", "--no-scm")
    dvc(tmp_path, "repro", "-q")
    before = pq.read_table(tmp_path / "data/caption" / "S001C001.parquet")
    shutil.rmtree(tmp_path / ".c2vl")
    shutil.rmtree(tmp_path / "data")
    (tmp_path / "setups.json").write_text("3")
    (tmp_path / "stage.py").write_text(STAGE + "# changed code\n")
    monkeypatch.chdir(tmp_path)
    assert changed_before("caption") == {
        "caption": ["setups.json (modified)", "stage.py (modified)"]
    }
    printed = dvc(tmp_path, "repro")
    assert changed_before("caption") == {}
    assert f"{len(good(world(2))):,} rows taken from the last version of data/caption" in printed
    notes = json.loads((tmp_path / "notes.json").read_text())
    assert notes["computed"] == len(good(world(3)) - good(world(2)))
    assert (
        notes["why"] == f"{notes['computed']} new (setup S002, S003), 1 failed before"
    )  # failures seed nothing
    assert pq.read_table(tmp_path / "data/caption" / "S001C001.parquet").equals(before)
