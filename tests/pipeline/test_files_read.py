"""Every file that a stage reads is one of its dependencies, or one whose hash the index holds."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo
from opened_files import opened_files
from resolved_pipeline import lies_in, name_of, resolved
from warm_python import warm_python
from whole_project import copy_of_the_working_tree, small_world

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's"),
]
CODE = {"c2vl", "stages"}  # tests/pipeline/test_graph.py follows the imports
ALWAYS = {"params.yaml"}  # its sections are held to `params` by the same test
TRACKER = {".dvcignore", ".gitignore"}  # DVCLive's, which draws curves
SAID = {"crop": {"dvc.yaml"}}  # whether pictures would be pushed: a sentence, no result


def test_a_file_that_is_opened_is_seen(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("read", "sub/read", "not"):
        (tmp_path / name).write_text("text")
    with opened_files(tmp_path) as found:
        (tmp_path / "read").read_text()
        shutil.copy(tmp_path / "sub/read", tmp_path / "written")
    assert found == {"read", "sub/read"}


def test_stages_read_their_dependencies_alone(tmp_path: Path) -> None:
    with warm_python(tmp_path / "warm") as python:
        project = copy_of_the_working_tree(tmp_path / "project")
        project.environment["PATH"] = f"{python}:{project.environment['PATH']}"
        project.environment["C2VL_WORKERS"] = "1"
        with Repo(str(project.folder)) as repo:
            stages = resolved(repo, small_world())
        for name, stage in stages.items():
            kind = name.partition("@")[0]
            allowed = {name_of(path) for path in [*stage["deps"], *stage["outs"]]}
            allowed |= CODE | ALWAYS | TRACKER | SAID.get(kind, set())
            if "data/index" in allowed:  # holds the hashes of the raw files
                allowed.add("data/studio")
            if any(path.endswith("/index") and "targets" in path for path in allowed):
                allowed.add("data/studio-b")
            with opened_files(project.folder) as found:
                project.works(*stage["cmd"].split(), DVC_STAGE=name)
            unseen = {path for path in found if not lies_in(path, allowed)}
            assert not unseen, f"{name} reads {sorted(unseen)[:5]}, and does not depend on it"
