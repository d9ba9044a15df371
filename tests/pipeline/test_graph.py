"""`dvc.yaml` against the code: a stage lists the code it imports and the params it reads."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import code_deps
import pytest
import yaml

ROOT = code_deps.ROOT
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES = {name: stage.get("do", stage) for name, stage in GRAPH["stages"].items()}


WHOLE_FILE = re.compile(r"PARAMS_FILE\.read_text|faults\(read_params\(")
VERSION_FILE = "c2vl/__init__.py"  # every module imports it; it changes no output


def code_listed(stage: str) -> list[str]:
    return [dep for dep in STAGES[stage]["deps"] if dep.startswith(("stages/", "c2vl"))]


@pytest.mark.parametrize("stage", STAGES)
def test_every_file_a_stage_imports_lies_below_one_of_its_deps(stage: str) -> None:
    listed = code_listed(stage)
    used = code_deps.used_files(f"stages/{stage}.py") - {VERSION_FILE}
    below = {path for path in used for dep in listed if path == dep or path.startswith(f"{dep}/")}
    assert used == below, f"dvc.yaml, stage {stage}: no dep covers {sorted(used - below)}"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_lists_its_script_and_at_most_four_folders_that_it_uses(stage: str) -> None:
    script, *folders = code_listed(stage)
    assert script == f"stages/{stage}.py"
    assert len(folders) <= 4 and all((ROOT / folder).is_dir() for folder in folders)
    used = code_deps.used_files(script)
    unused = [
        folder for folder in folders if not any(path.startswith(f"{folder}/") for path in used)
    ]
    assert not unused, f"dvc.yaml, stage {stage}: nothing below {unused} is imported"


def test_the_pipeline_reads_as_a_table_of_contents() -> None:
    assert len((ROOT / "dvc.yaml").read_text(encoding="utf-8").splitlines()) <= 420


def test_no_code_dep_is_empty() -> None:
    """DVC warns about an empty dependency at every run."""
    deps = {dep for stage in STAGES.values() for dep in stage["deps"] if dep.endswith(".py")}
    assert not [dep for dep in sorted(deps) if not (ROOT / dep).read_bytes().strip()]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_lists_the_sections_it_reads_and_no_other(stage: str) -> None:
    listed = {
        "*" if isinstance(param, dict) else param.split(".")[0]
        for param in STAGES[stage].get("params", [])
    }
    read = sections_read(STAGES[stage]["cmd"].split()[1])
    assert listed == ({"*"} if "*" in read else read)


def sections_read(script: str) -> set[str]:
    """Sections that a script and its imports load; `*` if one of them prints the whole file."""
    found: set[str] = set()
    for path in code_deps.used_files(script):
        if not path.endswith(".py"):
            continue
        text = (ROOT / path).read_text(encoding="utf-8")
        found |= {"*"} if WHOLE_FILE.search(text) else set()
        found |= set(re.findall(r"""read_params\(\)(?:\.get\(|\[)["'](\w+)""", text))
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "load_section"
            ):
                name = node.args[0]
                assert isinstance(name, ast.Constant), (
                    f"{path}: load_section needs a literal name, so that this test can read it"
                )
                found.add(name.value)
    return found


def test_every_stage_has_a_description_and_runs_its_own_script() -> None:
    for name, stage in STAGES.items():
        assert stage["desc"], name
        assert stage["cmd"].startswith(f"python stages/{name}.py"), name
        assert (ROOT / "stages" / f"{name}.py").is_file(), name


def test_only_score_depends_on_the_truth() -> None:
    readers = {
        name
        for name, stage in STAGES.items()
        if any(str(dep).split("/")[0] == "truth" for dep in stage["deps"])
    }
    assert readers == {"score"}


def outputs_of_all_stages() -> list[str]:
    """Outputs of every stage; an output with settings is a mapping in dvc.yaml."""
    return [
        next(iter(out)) if isinstance(out, dict) else out
        for stage in STAGES.values()
        for out in [*stage["outs"], *stage.get("metrics", [])]
    ]


def test_outputs_are_folders_of_this_project_and_never_the_users_raw_data() -> None:
    """DVC deletes outputs before it runs a stage, so users must not keep data in them."""
    outputs = outputs_of_all_stages()
    assert all(
        isinstance(out, str) and out.split("/")[0] in ("data", "results", "truth")
        for out in outputs
    )
    assert not {"data/raw", "data", "truth", "${data.raw}"} & set(outputs)


def test_declared_metrics_and_plots_lie_inside_outputs() -> None:
    outputs = [
        re.sub(r"\\\$\\{[^}]*\\}", "[^/]+", re.escape(out)) for out in outputs_of_all_stages()
    ]
    declared = [plot for plot in GRAPH["plots"] if isinstance(plot, str)]
    for path in [*GRAPH.get("metrics", []), *declared]:
        assert any(re.match(rf"{out}/", path) for out in outputs), path
    drawn = [plot for plot in GRAPH["plots"] if isinstance(plot, dict)]
    for folder in {folder for plot in drawn for folder in plot}:
        inside = [out for out in outputs_of_all_stages() if out.startswith(f"{folder}/")]
        assert inside and all(out.endswith(".csv") for out in inside), folder


def dvc(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("profile", "simulates"), [("demo", True), ("small", False), ("paper", False)]
)
def test_only_the_demo_simulates_a_world(profile: str, simulates: bool, tmp_path: Path) -> None:
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    shutil.copytree(
        ROOT / ".dvc",
        tmp_path / ".dvc",
        ignore=lambda _, names: [n for n in names if n not in ("config", ".gitignore")],
    )
    shutil.copy(ROOT / "profiles" / f"{profile}.yaml", tmp_path / "params.yaml")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    listed = dvc(tmp_path, "stage", "list", "--name-only")
    assert listed.returncode == 0, listed.stderr
    names = listed.stdout.split()
    assert ("simulate@studio" in names) is simulates
    benchmarks: list[Any] = yaml.safe_load((tmp_path / "params.yaml").read_text(encoding="utf-8"))[
        "data"
    ]["benchmarks"]
    assert len([name for name in names if name.startswith("pretrain@")]) == 3 * len(benchmarks)


# --- the helper that finds imports ---


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = {
        "c2vl/__init__.py": "",
        "c2vl/files.py": "import json",
        "c2vl/alone.py": "",
        "c2vl/room/__init__.py": "from c2vl.room.inner import thing",
        "c2vl/room/inner.py": (
            "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    from c2vl.alone import x\nthing = 1"
        ),
        "c2vl/room/names.tsv": "1\tdrink",
        "c2vl/wing/__init__.py": "",
        "c2vl/wing/used.py": "def late():\n    from c2vl import files\n",
        "c2vl/wing/unused.py": "",
        "stages/one.py": "from c2vl.room import thing",
        "stages/two.py": "from c2vl.wing.used import late\nimport beside",
        "stages/beside.py": "from c2vl.room import inner",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.setattr(code_deps, "ROOT", tmp_path)
    caches = (
        code_deps.imported_files,
        code_deps.data_files,
    )
    for cache in caches:
        cache.cache_clear()
    yield tmp_path
    for cache in caches:
        cache.cache_clear()


def test_transitive_lazy_and_data_files_are_found_and_type_checking_is_not(project: Path) -> None:
    used = code_deps.used_files("stages/one.py")
    assert used == {
        "stages/one.py",
        "c2vl/__init__.py",
        "c2vl/room/__init__.py",
        "c2vl/room/inner.py",
        "c2vl/room/names.tsv",
    }
    assert "c2vl/files.py" in code_deps.used_files("stages/two.py")  # imported inside a function
