"""`c2vl doctor --deep` finds damaged outputs; its advice mends them. Remotes are verified."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
from pathlib import Path

import pytest
from tiny_project import TinyProject

from c2vl.commands.checks.finding import Finding, examine
from c2vl.commands.checks.outputs import outputs

SHARD = "S001C001.parquet"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = TinyProject(tmp_path_factory.mktemp("made") / "project")
    project.works("dvc", "repro")
    return project.folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyProject:
    """A project whose stage ran, and the current folder."""
    shutil.copytree(made, tmp_path / "project")
    copy = TinyProject(tmp_path / "project")
    monkeypatch.chdir(copy.folder)
    copy.works("dvc", "status")  # DVC now knows sizes and times of these files
    return copy


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def cached(project: TinyProject, digest: str) -> Path:
    return project.folder / ".dvc/cache/files/md5" / digest[:2] / digest[2:]


def flip(path: Path) -> None:
    """Change one bit in the middle, as a bad disk does: time and size stay."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(status.st_mode)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def deep() -> list[Finding]:
    return examine("outputs", outputs)


@pytest.mark.parametrize("where", ["cache", "output", "both", "listing"])
def test_damage_that_dvc_does_not_see_is_found_and_the_advice_mends_it(
    project: TinyProject, where: str
) -> None:
    (fine,) = deep()
    assert (fine.state, fine.found) == ("ok", "6 files have the hashes in dvc.lock")
    shard = project.folder / "data/caption" / SHARD
    digest = md5(shard)
    if where in ("cache", "both"):
        flip(cached(project, digest))
    if where in ("output", "both"):
        flip(shard)
    if where == "listing":
        (listing,) = (project.folder / ".dvc/cache/files/md5").glob("*/*.dir")
        flip(listing)
    else:
        assert "up to date" in project.works("dvc", "status")
    (found,) = deep()
    assert (found.state, found.found.split()[0]) == ("FAIL", "2" if where == "both" else "1")
    command = found.todo.strip("`")
    assert command.endswith("&& dvc repro caption")
    project.works("sh", "-c", command)
    assert md5(shard) == digest == md5(cached(project, digest))
    assert deep() == [fine]


def test_a_hostile_name_stays_one_word_of_the_advice(project: TinyProject) -> None:
    lock = project.folder / "dvc.lock"
    lock.write_text(lock.read_text().replace("  caption:", '  "x; touch pwned":'))
    flip(project.folder / "data/caption" / SHARD)
    (found,) = deep()
    assert shlex.split(found.todo.strip("`"))[-1] == "x; touch pwned"


@pytest.mark.parametrize("replaced", ["damaged", "another table"])
def test_what_a_verified_remote_holds_under_a_wrong_name_is_not_pulled(
    project: TinyProject, tmp_path: Path, replaced: str
) -> None:
    project.add_remote(url=str(tmp_path / "remote"), verify="true")
    project.works("dvc", "push")
    digest = md5(project.folder / "data/caption" / SHARD)
    there = tmp_path / "remote/files/md5" / digest[:2] / digest[2:]
    if replaced == "damaged":
        flip(there)
    else:
        there.chmod(0o644)
        shutil.copy(project.folder / "data/caption/S002C001.parquet", there)
    clone = project.clone(tmp_path / "clone")
    assert clone.run("dvc", "pull").returncode != 0
    assert not (clone.folder / "data/caption" / SHARD).exists()
    assert not cached(clone, digest).exists()
    # What docs/running-on-real-data.md says: remove it there and push again.
    there.unlink()
    (listing,) = (tmp_path / "remote/files/md5").glob("*/*.dir")
    listing.unlink()
    project.works("dvc", "push")
    clone.works("dvc", "pull")
    assert md5(clone.folder / "data/caption" / SHARD) == digest


def test_without_dvc_lock_there_is_nothing_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (found,) = deep()
    assert found.state == "ok"
