"""The sample store: killed, damaged, extended and shared, it loses nothing published."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import standin_stage
from hypothesis import given, settings
from hypothesis import strategies as st
from standin_stage import Stage, Stop, sample, world

from c2vl.core.errors import UserError
from c2vl.core.lock import stage_lock
from c2vl.core.runlog import logged
from c2vl.store import failures, missing, plan, publish, run, segments, share
from c2vl.store import stage as stages
from c2vl.store.failures import noted_rows
from c2vl.store.keys import KEY, as_keys, content_key, fingerprint_of
from c2vl.store.stage import Unit
from c2vl.store.store import Store

ROWS = pa.schema([pa.field("answer", pa.string()), KEY])


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("C2VL_STORE", raising=False)
    monkeypatch.setattr(publish, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(
        os, "fsync", lambda handle: None
    )  # no test cuts the power, and this one waits for the disk


def ran(stage: Stage, out: Path) -> dict[str, Any]:
    notes: dict[str, Any] = {}
    run.run(stage, out, notes)
    return notes


def content(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def table(keys: list[bytes], text: str = "a") -> pa.Table:
    return pa.table([[f"{text}{key.hex()}" for key in keys], pa.array(keys, KEY.type)], schema=ROWS)


def keys(count: int, seed: int = 0) -> list[bytes]:
    return [content_key("f", seed, number) for number in range(count)]


def test_keys_tell_parts_apart_and_fingerprints_ignore_order() -> None:
    distinct = [("ab", "c"), ("a", "bc"), ("abc",), (b"ab", b"c"), (1,), ("1",), (b"1",), ()]
    assert len({content_key("f", *parts) for parts in distinct}) == len(distinct)
    assert content_key("f", "a") != content_key("g", "a")
    assert fingerprint_of({"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint_of(
        {"b": {"d": 3, "c": 2}, "a": 1}
    )
    assert fingerprint_of({"a": 1}) != fingerprint_of({"a": 2})


def test_published_rows_come_back_in_the_order_asked_for_and_to_another_process_too(
    tmp_path: Path,
) -> None:
    store, wanted = Store(tmp_path, "s", "f"), keys(300)
    for start in range(0, 300, 50):
        store.publish(table(wanted[start : start + 50]))
    asked = random.Random(1).choices(wanted, k=400)
    for reader in (store, Store(tmp_path, "s", "f")):
        assert reader.rows(asked).column("answer").to_pylist() == [f"a{key.hex()}" for key in asked]
        assert reader.known() == set(wanted)
        assert reader.missing([*keys(3, seed=9), wanted[7]]).tolist() == [True, True, True, False]
    with pytest.raises(KeyError):
        store.rows(keys(1, seed=9))


def test_keys_that_end_in_zero_bytes_stay_whole(tmp_path: Path) -> None:
    odd = [b"\0" * 16, b"a" + b"\0" * 15, b"a" * 15 + b"\0"]
    store = Store(tmp_path, "s", "f")
    store.publish(table(odd))
    assert store.known() == set(odd)
    assert store.rows(odd[::-1]).column("answer").to_pylist() == [
        f"a{key.hex()}" for key in odd[::-1]
    ]


def test_merging_keeps_every_row_once_and_readers_who_know_the_old_files_still_find_theirs(
    tmp_path: Path,
) -> None:
    writer, wanted = Store(tmp_path, "s", "f"), keys(40)
    for key in wanted:
        writer.publish(table([key]))
    writer.publish(table(wanted[:5]))  # two workers computed the same
    reader = Store(tmp_path, "s", "f")
    writer.compact()
    assert len(list(writer.folder.glob("*.arrow"))) == 1
    assert len(segments.read_keys(writer.folder, next(writer.folder.glob("*.arrow")).stem)) == 40
    assert reader.rows(wanted).column("answer").to_pylist() == [f"a{key.hex()}" for key in wanted]


def test_many_short_batches_leave_few_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "MERGE_AFTER", 8)
    store, wanted = Store(tmp_path, "s", "f"), keys(2 * 8 + 5)
    with publish.Publisher(store, ROWS.remove(1)) as writer:
        for key in wanted:
            writer.add([key], [{"answer": key.hex()}])
    assert len(list(store.folder.glob("*.arrow"))) == 2 + 5
    assert Store(tmp_path, "s", "f").known() == set(wanted)


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "grow"])
def test_a_damaged_segment_is_set_aside_and_its_rows_are_missing(tmp_path: Path, harm: str) -> None:
    store = Store(tmp_path, "s", "f")
    store.publish(table(keys(5)))
    name = store.publish(table(keys(5, seed=1)))
    hurt(store.folder / f"{name}.arrow", harm, 0.5)
    again = Store(tmp_path, "s", "f")
    assert again.damaged == 1
    assert again.known() == set(keys(5))
    assert Store(tmp_path, "s", "f").damaged == 0


def hurt(path: Path, harm: str, where: float) -> None:
    whole = path.read_bytes()
    at = int(where * (len(whole) - 1))
    flipped = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    path.write_bytes(
        {"flip": flipped, "cut": whole[:at], "empty": b"", "grow": whole + b"\0"}[harm]
    )


HARMS = st.lists(
    st.one_of(
        st.tuples(st.just("killed before batch"), st.integers(0, 12)),
        st.tuples(
            st.sampled_from(["flip", "cut", "empty", "gone"]), st.integers(0, 20), st.floats(0, 1)
        ),
        st.tuples(st.just("half-written"), st.integers(0, 99)),
        st.tuples(st.just("merged"), st.integers(0, 1)),
    ),
    max_size=6,
)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("C2VL_HOME", str(folder / "home"))
        ran(Stage(world()), folder / "out")
    yield content(folder / "out")


@settings(max_examples=20, deadline=None)
@given(harms=HARMS)
def test_whatever_happens_on_the_way_the_sealed_out_is_that_of_an_uninterrupted_run(
    harms: list[tuple[Any, ...]], uninterrupted: dict[str, bytes]
) -> None:
    """The stand-in's answers depend on their batch: resumed batches are held to theirs, too."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        patch.setenv("C2VL_HOME", str(folder / "home"))
        for kind, *how in harms:
            store = plan.open_store(Stage(world()))[0]
            files = sorted(store.folder.glob("*.arrow"))
            if kind == "killed before batch":
                with pytest.MonkeyPatch.context() as killed:
                    killed.setattr(
                        publish.Publisher, "__exit__", lambda *_: None
                    )  # SIGKILL flushes nothing
                    with contextlib.suppress(Stop):
                        ran(Stage(world(), raise_at=how[0]), folder / "out")
            elif kind == "half-written":
                store.folder.mkdir(parents=True, exist_ok=True)
                (store.folder / f".{how[0]}.part").write_bytes(b"ARROW1")
            elif kind == "merged":
                store.compact()
            elif files and kind == "gone":
                files[how[0] % len(files)].unlink()
            elif files:
                hurt(files[how[0] % len(files)], kind, how[1])
        ran(Stage(world()), folder / "out")
        assert content(folder / "out") == uninterrupted


@given(sizes=st.lists(st.integers(1, 6), max_size=12), size=st.integers(1, 9))
def test_batches_keep_samples_together_where_they_fit(sizes: list[int], size: int) -> None:
    units = [
        Unit({"sample": number, "k": k}, None)
        for number, count in enumerate(sizes)
        for k in range(count)
    ]
    cut = list(missing.batches(units, size))
    assert [unit for batch in cut for unit in batch] == units
    assert all(1 <= len(batch) <= size for batch in cut)
    if max(sizes, default=0) <= size:
        samples = [{unit.identity["sample"] for unit in batch} for batch in cut]
        assert sum(map(len, samples)) == len(sizes)


def good(contents: standin_stage.Contents) -> list[bytes]:
    return [
        prompt
        for prompts in contents.values()
        for prompt in prompts
        if prompt and not prompt.startswith(b"bad")
    ]


def test_only_the_difference_is_computed_and_the_run_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = world(2)
    first = ran(Stage(before, company=False), tmp_path / "out")
    assert first["why"] == "first run"
    assert first["computed"] == len(set(good(before)))
    assert first["reused"] == len(good(before)) - len(
        set(good(before))
    )  # equal prompts are asked once
    assert first["failed"] == 2
    old = content(tmp_path / "out")

    now = world(3)
    del now[sample(2, 12)]
    now[sample(1, 4)][1] = b"another picture"
    stage = Stage(now, company=False)
    second = ran(stage, tmp_path / "out")
    new = set(good(now)) - set(good(before))
    assert set(stage.asked) - {b"bad pixels"} == new
    assert len(stage.asked) == len(new) + 1
    assert second["computed"] == len(new) == 25
    assert second["why"] == "25 new (setup S001, S002, S003), 1 failed before"
    assert (
        capsys.readouterr()
        .out.splitlines()[-1]
        .startswith(f"captioned 25 · reused {len(good(now)) - 25} · failed 2 · why: 25")
    )

    shutil.rmtree(tmp_path / "home")
    ran(Stage(now, company=False), tmp_path / "fresh")
    assert content(tmp_path / "fresh") == content(tmp_path / "out")
    assert content(tmp_path / "out")["S001C001.parquet"] != old["S001C001.parquet"]


def test_a_new_setup_leaves_the_other_shards_as_they_were(tmp_path: Path) -> None:
    ran(Stage(world(2)), tmp_path / "out")
    old = content(tmp_path / "out")
    ran(
        Stage(world(2) | {name: prompts for name, prompts in world(3).items() if name > "S003"}),
        tmp_path / "out",
    )
    new = content(tmp_path / "out")
    assert set(new) - set(old) == {"S003C001.parquet"}
    assert all(new[name] == old[name] for name in old if name.endswith(".parquet"))


def test_a_removed_setup_leaves_no_shard_behind(tmp_path: Path) -> None:
    ran(Stage(world(2)), tmp_path / "out")
    stage = Stage(
        {name: prompts for name, prompts in world(2).items() if name < "S002"}
        | {sample(1, 99): [b"x"]}
    )
    ran(stage, tmp_path / "out")
    assert set(content(tmp_path / "out")) == {"S001C001.parquet", "metrics.json"}


def test_no_engine_is_loaded_when_nothing_is_missing(tmp_path: Path) -> None:
    contents = {
        name: prompts
        for name, prompts in world().items()
        if name not in (sample(1, 2), sample(2, 3))
    }
    ran(Stage(contents), tmp_path / "out")
    stage = Stage(contents, raise_at=0)
    notes = ran(stage, tmp_path / "elsewhere")
    assert (stage.loaded, notes["computed"], notes["why"]) == (0, 0, "nothing new")
    assert content(tmp_path / "elsewhere") == content(tmp_path / "out")


def test_a_changed_parameter_recomputes_all_and_is_named(tmp_path: Path) -> None:
    ran(Stage(world()), tmp_path / "out")
    notes = ran(Stage(world(), question="why?"), tmp_path / "out")
    assert notes["computed"] == len(set(good(world())))
    assert notes["why"] == "changed: question what? → why?"


def test_failures_are_rows_and_are_tried_again(tmp_path: Path) -> None:
    ran(Stage(world(), company=False), tmp_path / "out")
    rows = {
        (row["sample"], row["k"]): row
        for path in sorted((tmp_path / "out").glob("*.parquet"))
        for row in read(path)
    }
    assert len(rows) == 72
    failed = rows[sample(1, 2), 1]
    assert (failed["status"], failed["reason"], failed["answer"]) == ("empty", "no answer", None)
    inherited = rows[sample(2, 3), 0]
    assert (inherited["status"], inherited["reason"], inherited["key"]) == (
        "no_crop",
        "there is no crop",
        None,
    )
    assert rows[sample(1, 1), 0]["status"] == "ok"
    assert rows[sample(1, 1), 2]["answer"] == rows[sample(2, 6), 2]["answer"]
    store = plan.open_store(Stage(world(), company=False))[0]
    assert failed["key"] not in store.known()
    assert {row["key"] for row in rows.values() if row["status"] == "ok"} == store.known()
    again = Stage(world(), company=False)
    assert ran(again, tmp_path / "out")["why"] == "1 failed before"
    assert again.asked == [b"bad pixels"]


def read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    assert [(row["sample"], row["k"]) for row in rows] == sorted(
        (row["sample"], row["k"]) for row in rows
    )
    return rows


def test_another_data_set_in_the_same_store_does_not_make_failures_look_new(tmp_path: Path) -> None:
    """A transfer target's skeletons share the fingerprint, and so the folder, of the data set."""
    first, other = world(1, 4), {name.replace("S001", "S002"): [b"fine"] for name in world(1, 4)}
    run.run(Stage(first), tmp_path / "first", {})
    run.run(Stage(other), tmp_path / "other", {})
    notes: dict[str, Any] = {}
    run.run(Stage(first), tmp_path / "first", notes)
    assert notes["why"] == "1 failed before"


def test_a_flipped_bit_in_the_notes_on_failures_costs_no_run(tmp_path: Path) -> None:
    ran(Stage(world(1)), tmp_path / "out")
    store = plan.open_store(Stage(world(1)))[0]
    path = store.folder / failures.LAST
    whole = path.read_bytes()
    assert len(failures.failed_last_time(store.folder)) == 1
    for position in range(len(whole)):
        for bit in (0, 4, 7):
            path.write_bytes(
                whole[:position] + bytes([whole[position] ^ 1 << bit]) + whole[position + 1 :]
            )
            assert all(
                len(bytes.fromhex(note["key"])) == 16
                for note in failures.failed_last_time(store.folder)
            )
    path.write_bytes(whole.replace(b'"key": "', b'"key": "x'))
    assert ran(Stage(world(1)), tmp_path / "out")["computed"] == 0
    assert path.read_bytes() == whole


def test_an_error_in_the_engine_costs_the_rows_that_cause_it(tmp_path: Path) -> None:
    class Fragile(Stage):
        def compute(self, units: Any, ready: Any) -> Any:
            if b"shared 3" in ready:
                raise RuntimeError("cannot see\n this")
            return super().compute(units, ready)

    notes = ran(Fragile(world(), company=False), tmp_path / "out")
    assert notes["failed"] == 2 + 4  # the shared prompt of four samples
    rows = [row for row in read(tmp_path / "out" / "S002C001.parquet") if row["status"] == "error"]
    assert {row["reason"] for row in rows} == {"RuntimeError: cannot see this"}


def test_a_lost_gpu_ends_the_stage_and_fails_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lost(Stage):
        def compute(self, units: Any, ready: Any) -> Any:
            if f"{sample(2, 2)} 0".encode() in ready:
                monkeypatch.setattr(
                    stages, "lost_device", lambda: "CUDA error: unspecified launch failure"
                )
                raise RuntimeError("CUDA error: unspecified launch failure")
            return super().compute(units, ready)

    with pytest.raises(
        UserError, match=r"The GPU does not respond \(CUDA error: unspecified launch failure\)"
    ):
        ran(Lost(world(), company=False), tmp_path / "out")
    store = plan.open_store(Stage(world(), company=False))[0]
    assert 0 < len(store.known()) < 3 * 24  # what was finished is kept
    assert all(
        row["status"] != "error"
        for row in noted_rows(store, plan.plan(Stage(world(), company=False), store))
    )


def test_too_many_failures_fail_the_stage_in_one_sentence_and_keep_what_succeeded(
    tmp_path: Path,
) -> None:
    contents: standin_stage.Contents = {
        sample(1, number): [b"bad %d" % number if number % 3 else b"good %d" % number]
        for number in range(1, 31)
    }
    with pytest.raises(
        UserError,
        match=r"caption: 4 units failed .* of 0.1 .*`max_failed`.* most often \(4\): no answer",
    ):
        ran(Stage(contents, max_failed=0.1, size=1), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    store = plan.open_store(Stage(contents))[0]
    assert len(store.known()) == 1
    listed = noted_rows(store, plan.plan(Stage(contents), store))
    assert [(row["sample"], row["reason"]) for row in listed] == [
        (sample(1, n), "no answer") for n in (1, 2, 4, 5)
    ]
    with pytest.raises(
        UserError, match="max_failed"
    ):  # listed apart, and kept if the next try ends sooner
        ran(
            Stage(
                {sample(1, 30 - n): [b"bad %d" % n] for n in range(8)} | contents,
                max_failed=0.01,
                size=1,
            ),
            tmp_path / "out",
        )
    assert {sample(1, n) for n in (1, 2, 4, 5)} <= {
        row["sample"] for row in noted_rows(store, plan.plan(Stage(contents), store))
    }
    for prompts in contents.values():
        prompts[0] = None if prompts[0] and prompts[0].startswith(b"bad") else prompts[0]
    assert (
        ran(Stage(contents, max_failed=0.1, size=1), tmp_path / "out")["failed"] == 20
    )  # an earlier stage's, not ours


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, "full disk"), (errno.EROFS, "read-only"), (errno.EIO, "cannot be used")],
)
def test_trouble_with_the_disk_is_one_sentence_and_loses_nothing_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, message: str
) -> None:
    write, count = os.write, iter(range(1000))

    def failing(handle: int, content: bytes) -> int:
        if next(count) > 3:
            raise OSError(number, os.strerror(number))
        return write(handle, content)

    monkeypatch.setattr(os, "write", failing)
    with pytest.raises(UserError, match=message):
        ran(Stage(world()), tmp_path / "out")
    monkeypatch.setattr(os, "write", write)
    kept = plan.open_store(Stage(world()))[0].known()
    assert len(kept) > 10
    assert ran(Stage(world()), tmp_path / "out")["computed"] == len(set(good(world()))) - len(kept)


def test_a_store_that_vanishes_under_a_run_ends_it_at_once_and_is_not_begun_anew(
    tmp_path: Path,
) -> None:
    """As an unmounted disk does: the rest of a night's results would lie under its mount point."""
    place = tmp_path / "home" / "store"

    class Vanishing(Stage):
        def compute(self, units: Any, ready: Any) -> Any:
            if self.batches == 3:
                place.rename(tmp_path / "elsewhere")
            return super().compute(units, ready)

    vanishing = Vanishing(world(), size=4)
    with pytest.raises(UserError, match=r"The store .* vanished during the run; .* Bring it back"):
        ran(vanishing, tmp_path / "out")
    assert vanishing.batches == 4
    assert not place.exists()
    (tmp_path / "elsewhere").rename(place)
    notes = ran(Stage(world(), size=4), tmp_path / "out")
    assert (
        notes["computed"] <= len(set(good(world()))) - 3 * 4 + 1
    )  # what was published is there; one unit failed


def test_what_worker_processes_write_into_a_store_that_vanished_is_not_taken_for_kept(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "store", "s", "f")
    store.publish(publish.rows_with_keys(keys(1), answers(keys(1)), ROWS))
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    units = [Unit({}, key, key) for key in keys(3)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "LARGE_BYTES", 0)
        _, segment = publish.done_in_worker(answers, store.folder, ROWS, units)
    assert isinstance(segment, segments.Written)
    with (
        publish.Publisher(store, ROWS.remove(1)) as writer,
        pytest.raises(UserError, match="vanished during the run"),
    ):
        writer.add_written(segment)


def answers(contents: list[bytes]) -> list[dict[str, str]]:
    return [{"answer": f"a{content.hex()}"} for content in contents]


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "gone"])
def test_what_is_damaged_while_a_run_goes_on_is_not_sealed_and_the_next_run_mends_it(
    tmp_path: Path, harm: str
) -> None:
    """A run does not read its own segments before it writes the table, maybe days later."""
    ran(Stage(world(), size=4), tmp_path / "whole")
    shutil.rmtree(tmp_path / "home")

    class Damaged(Stage):
        def compute(self, units: Any, ready: Any) -> Any:
            if self.batches == 6:
                path = max(
                    (tmp_path / "home").rglob("*.arrow"), key=lambda path: path.stat().st_size
                )
                path.unlink() if harm == "gone" else hurt(path, harm, 0.4)  # among the answers
            return super().compute(units, ready)

    with pytest.raises(UserError, match=r"results vanished from the store .* run again"):
        ran(Damaged(world(), size=4), tmp_path / "out")
    ran(Stage(world(), size=4), tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_what_is_damaged_between_the_last_check_and_sealing_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compact = Store.compact

    def cutting(store: Store) -> None:
        compact(store)
        hurt(next(store.folder.glob("*.arrow")), "cut", 0.5)

    monkeypatch.setattr(Store, "compact", cutting)
    with pytest.raises(UserError, match=r"results vanished from the store .* run again"):
        ran(Stage(world()), tmp_path / "out")


def test_a_store_that_is_named_and_not_there_is_not_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("C2VL_STORE", str(tmp_path / "mnt" / "store"))
    stage = Stage(world())
    for command in (
        lambda: ran(stage, tmp_path / "out"),
        lambda: run.fill_share(stage, tmp_path / "out", share.ALL, {}),
    ):
        with pytest.raises(
            UserError, match=r"C2VL_STORE names is not there; mount its disk, or make the folder"
        ):
            command()
    assert stage.loaded == 0 and not (tmp_path / "mnt").exists()
    (tmp_path / "mnt" / "store").mkdir(parents=True)
    assert ran(stage, tmp_path / "out")["computed"] > 0


def test_no_usable_sample_is_said(tmp_path: Path) -> None:
    match = r"no sample can be used; most often \(1\): there is no crop\."
    with pytest.raises(UserError, match=match):
        ran(Stage({sample(1, 1): [None]}), tmp_path / "out")


def test_a_stage_whose_every_row_fails_ends_with_the_commonest_reason(tmp_path: Path) -> None:
    contents = {sample(1, 1): [b"bad 1", b"bad 2", None]}
    match = r"caption: all 2 units failed; most often \(2\): no answer \(`c2vl failures caption`"
    with pytest.raises(UserError, match=match):
        ran(Stage(contents, max_failed=1.0), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    work = Stage(contents, max_failed=1.0)
    work.all_may_fail = True
    assert ran(work, tmp_path / "out")["failed"] == 3


def test_the_lock_names_its_holder_and_ends_with_it(tmp_path: Path) -> None:
    code = "import sys, time\nfrom pathlib import Path\nfrom c2vl.core.lock import stage_lock\n"
    code += (
        "with stage_lock('crop', Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(
                UserError, match=f"crop is already running here .process {holder.pid} on "
            ),
            stage_lock("crop", tmp_path),
        ):
            pass
        with stage_lock("caption", tmp_path):
            pass
        holder.kill()
    with stage_lock("crop", tmp_path):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(
        UserError, match=r"folder .*file.* cannot be used .*set C2VL_HOME to another one"
    ):
        stage_lock("crop", tmp_path / "file" / "locks").__enter__()


def test_a_run_log_that_cannot_be_written_does_not_undo_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "file"))
    with logged("crop"):
        pass
    assert (
        "could not be written (Not a directory); `c2vl timings` lacks this run"
        in capsys.readouterr().out
    )


def started(tmp_path: Path, out: str, delay: float, home: str = "home") -> subprocess.Popen[str]:
    (tmp_path / "store").mkdir(exist_ok=True)
    environment = os.environ | {
        "C2VL_HOME": str(tmp_path / home),
        "C2VL_STORE": str(tmp_path / "store"),
    }
    process = subprocess.Popen(
        [sys.executable, standin_stage.__file__, str(tmp_path / out), str(delay)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def wait_for(process: subprocess.Popen[str], batches: int) -> None:
    assert process.stdout is not None
    for _ in range(batches):
        assert process.stdout.readline() == "batch\n"


def test_killed_at_random_and_run_again_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    ran(Stage(world(), size=4), tmp_path / "whole")
    chance = random.Random(7)
    for batches in (0, 5, 2):
        with started(tmp_path, "out", 0.02) as process:
            wait_for(process, batches)
            time.sleep(chance.uniform(0, 0.05))
            process.kill()
    with started(tmp_path, "out", 0) as process:
        printed = process.communicate()[0]
    assert process.returncode == 0, printed
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert not list((tmp_path / "store").rglob("*.damaged"))


def test_a_polite_end_publishes_what_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are published every second; the end comes before the first is over."""
    with started(tmp_path, "out", 0.1) as process:
        wait_for(process, 4)
        process.send_signal(signal.SIGTERM)
        _, printed = process.communicate()
    assert process.returncode == 130
    assert (
        printed.splitlines()[-1]
        == "c2vl: interrupted; what was finished is kept, run the same command to go on."
    )
    monkeypatch.setenv("C2VL_STORE", str(tmp_path / "store"))
    assert len(plan.open_store(Stage(world(), size=4))[0].known()) >= 8


def test_two_processes_fill_one_store_at_once(tmp_path: Path) -> None:
    ran(Stage(world(), size=4), tmp_path / "whole")
    both = [started(tmp_path, f"out{number}", 0.005, home=f"home{number}") for number in range(2)]
    for number, process in enumerate(both):
        with process:
            _, printed = process.communicate()
        assert process.returncode == 0, printed
        assert content(tmp_path / f"out{number}") == content(tmp_path / "whole")


def test_a_rerun_beside_an_orphan_says_so_at_once(tmp_path: Path) -> None:
    with started(tmp_path, "out", 60) as orphan:
        wait_for(orphan, 1)
        with started(tmp_path, "out", 0) as rerun:
            _, printed = rerun.communicate(timeout=20)
        assert rerun.returncode == 1
        assert f"caption is already running here (process {orphan.pid} on " in printed
        orphan.kill()


def test_take_rows_copies_so_that_a_merged_segment_can_go(tmp_path: Path) -> None:
    store = Store(tmp_path, "s", "f")
    name = store.publish(table(keys(3)))
    rows = segments.take_rows(store.folder, name, np.array([2, 0]))
    (store.folder / f"{name}.arrow").unlink()
    assert as_keys(rows.column("key").combine_chunks()).tolist() == [
        keys(3)[2],
        keys(3)[0],
    ]
