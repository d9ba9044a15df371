"""A killed `dvc`, an interrupt, a full or read-only disk: one sentence, and nothing is lost."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from standin_stage import Stage, world
from tiny_project import TinyProject

from c2vl.core import files
from c2vl.core.errors import UserError
from c2vl.store import plan, publish, run, segments


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


def is_running(process: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def sentence(printed: str) -> str:
    lines = [line for line in printed.splitlines() if line.startswith("c2vl: ")]
    assert len(lines) == 1 and "Traceback" not in printed, printed
    return lines[0]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The output of an uninterrupted `dvc repro`."""
    project = TinyProject(tmp_path_factory.mktemp("tiny") / "whole")
    project.works("dvc", "repro")
    return project.shards()


@pytest.mark.slow
def test_the_stage_that_a_killed_dvc_leaves_behind_is_named_and_not_joined(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    project, gate = TinyProject(tmp_path / "project"), tmp_path / "gate"
    dvc = project.begin("dvc", "repro", STANDIN_GATE=str(gate))
    until(lambda: project.segments() >= 2)
    dvc.kill()
    dvc.wait()
    lock = (project.folder / ".c2vl/locks/caption.lock").read_text()
    orphan = int(re.findall(r"process (\d+) on ", lock)[0])
    assert is_running(orphan)

    began = time.monotonic()
    again = project.run("dvc", "repro")
    assert time.monotonic() - began < 60
    assert again.returncode != 0
    assert f"caption is already running here (process {orphan} on " in sentence(again.stderr)
    assert is_running(orphan)

    gate.touch()
    until(lambda: not is_running(orphan))
    assert project.ran(project.works("dvc", "repro"))
    assert project.record()["computed"] == 0
    assert project.shards() == whole


@pytest.mark.slow
def test_ctrl_c_at_dvc_repro_keeps_what_is_finished_and_says_how_to_go_on(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    project = TinyProject(tmp_path / "project")
    dvc = project.begin("dvc", "repro", STANDIN_GATE=str(tmp_path / "never"))
    until(lambda: project.segments() >= 2)
    os.killpg(dvc.pid, signal.SIGINT)  # as a terminal does
    _, printed = dvc.communicate(timeout=60)
    assert dvc.returncode != 0
    assert (
        sentence(printed)
        == "c2vl: interrupted; what was finished is kept, run the same command to go on."
    )
    project.works("dvc", "repro")
    done = len(
        [
            prompt
            for prompts in world().values()
            for prompt in prompts
            if prompt and prompt != b"bad pixels"
        ]
    )
    assert project.record()["reused"] + project.record()["computed"] == done
    assert project.record()["reused"] >= 8  # two batches of four
    assert project.shards() == whole


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("C2VL_STORE", raising=False)
    return tmp_path / "home"


def ran(out: Path) -> dict[str, Any]:
    notes: dict[str, Any] = {}
    run.run(Stage(world(), size=4), out, notes)
    return notes


def content(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def known() -> set[bytes]:
    return plan.open_store(Stage(world(), size=4))[0].known()


# The first call to be refused, and the seconds until batches are made durable.
CALLS = {
    "made": (files.tempfile, "mkstemp", 12, 0.0),
    "written": (os, "write", 12, 0.0),
    "made durable": (os, "fsync", 12, 0.0),
    "renamed": (os, "replace", 12, 0.0),
    "merged": (segments.Digesting, "write", 3, 1e9),
}
ERRORS = {
    errno.ENOSPC: "full disk",
    errno.EROFS: "is read-only",
    errno.EDQUOT: "quota",
    errno.EIO: "cannot be used",
}


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("when", CALLS)
def test_a_disk_that_refuses_any_step_of_publishing_is_said_and_a_rerun_goes_on(
    home: Path, tmp_path: Path, whole: dict[str, bytes], when: str, number: int
) -> None:
    owner, name, first, seconds = CALLS[when]
    call, count = getattr(owner, name), iter(range(1000))

    def refusing(*arguments: Any, **named: Any) -> Any:
        if next(count) >= first:
            raise OSError(number, os.strerror(number))
        return call(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, refusing)
        patch.setattr(publish, "FLUSH_SECONDS", seconds)
        with pytest.raises(UserError, match=ERRORS[number]):
            ran(tmp_path / "out")
    kept = known()
    assert len(kept) >= 12
    assert ran(tmp_path / "out")["reused"] >= len(kept)
    assert content(tmp_path / "out") == whole
    assert not list(home.rglob("*.part"))


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
def test_a_disk_that_refuses_the_sealed_out_is_said(
    home: Path, tmp_path: Path, whole: dict[str, bytes], number: int
) -> None:
    ran(tmp_path / "out")
    published = files.published

    @contextlib.contextmanager
    def refusing(path: Path) -> Iterator[Path]:
        if path.suffix == ".parquet":
            raise OSError(number, os.strerror(number))
        with published(path) as temporary:
            yield temporary

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("c2vl.core.tables.parquet.published", refusing)
        with pytest.raises(UserError, match=f"elsewhere.*{ERRORS[number]}"):
            ran(tmp_path / "elsewhere")
    assert ran(tmp_path / "elsewhere")["computed"] == 0
    assert content(tmp_path / "elsewhere") == whole


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KB, where this machine lets us mount one; refusing calls do above."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    ).returncode:
        pytest.skip("mounting a file system takes root; the same errors were raised by hand above")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def test_a_disk_that_really_fills_up_and_one_that_really_is_read_only(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, bytes]
) -> None:
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("C2VL_STORE", str(small_disk))
    with pytest.raises(
        UserError,
        match=r"is on a full disk; free some space or .*, then run again: what was published is",
    ):
        ran(tmp_path / "out")
    kept = known()
    assert len(kept) > 4

    remount(small_disk, "ro")
    with pytest.raises(UserError, match="is read-only; make it writable or set C2VL_STORE"):
        ran(tmp_path / "out")
    assert known() == kept

    remount(small_disk, "rw,size=8m")
    assert ran(tmp_path / "out")["reused"] >= len(kept)
    assert content(tmp_path / "out") == whole

    remount(small_disk, "ro")
    assert ran(tmp_path / "again")["computed"] == 0  # what is there can still be read
    assert content(tmp_path / "again") == whole


def test_an_out_on_a_disk_that_fills_up(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, bytes]
) -> None:
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    (small_disk / "ballast").write_bytes(b"0" * 60 * 1024)
    with pytest.raises(UserError, match=r"out.*is on a full disk; free some space"):
        ran(small_disk / "out")
    (small_disk / "ballast").unlink()
    remount(small_disk, "size=8m")
    assert ran(small_disk / "out")["computed"] == 0
    assert content(small_disk / "out") == whole


def test_what_a_run_leaves_was_flushed_before_it_was_named(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order that makes a power cut harmless; segments may have their names a second earlier."""
    flushed: set[int] = set()
    named: dict[Path, bool] = {}
    fsync, replace = os.fsync, os.replace

    def noting(handle: int) -> None:
        fsync(handle)
        flushed.add(os.fstat(handle).st_ino)

    def naming(source: Path, target: Path) -> None:
        named[Path(target)] = os.stat(source).st_ino in flushed
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noting)
    monkeypatch.setattr(os, "replace", naming)
    ran(tmp_path / "out")
    assert all(flushed_first for path, flushed_first in named.items() if path.suffix != ".arrow")
    left = [*home.rglob("*.arrow"), *(tmp_path / "out").iterdir()]
    assert len(left) >= 4
    assert all(path.stat().st_ino in flushed for path in left)
