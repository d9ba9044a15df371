"""Every recipe of README and docs, from raw files to the report, on a few clips in real formats.

The shipped tiny engines take the place of the big ones, and every schedule is one epoch of a narrow
network; nothing else of a profile is changed. `make recipes` runs all; two run in `make test`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import recipe_data
import yaml
from dvc.repo import Repo
from opened_files import opened_files
from recipes import SECTIONS, Recipe, reaches_the_report, settings
from resolved_pipeline import lies_in, name_of, resolved
from whole_project import ROOT, Project, copy_of_the_working_tree

pytestmark = pytest.mark.slow
Params = dict[str, Any]


def raw_ntu(**few: int) -> Callable[[Path, Path], None]:
    return lambda root, filmed: recipe_data.ntu(filmed, root / "data/raw", **few)


def raw_pku(dataset: str) -> Callable[[Path, Path], None]:
    return lambda root, filmed: recipe_data.pku(root / "data/raw", dataset, filmed) and None


def skeletons_and_answers(root: Path, filmed: Path) -> None:
    clips = recipe_data.pku(root / "data/raw", "pku2")
    recipe_data.published(root / "published/pkuv2_language.zip", clips)


def answers_and_videos(root: Path, filmed: Path) -> None:
    recipe_data.ntu(filmed, root / "data/raw")
    recipe_data.published(root / "published/answers.zip", recipe_data.names(filmed))


def with_target(root: Path, filmed: Path) -> None:
    recipe_data.ntu(filmed, root / "data/raw")
    recipe_data.pku(root / "data/pku2", "pku2")


def skeletons_alone(root: Path, filmed: Path) -> None:
    recipe_data.ntu(filmed, root / "data/raw", videos=0)
    recipe_data.pku(root / "data/pku2", "pku2")


def one_missing(root: Path, filmed: Path) -> None:
    """A video and the skeleton of another clip."""
    recipe_data.ntu(filmed, root / "data/raw")
    first, *_, last = recipe_data.names(filmed)
    (root / f"data/raw/nturgb+d_rgb/{first}_rgb.avi").unlink()
    (root / f"data/raw/nturgb+d_skeletons/{last}.skeleton").unlink()


NTU120 = {"data.dataset": "ntu120"}
NPZ = {"data.raw": "data/raw/NTU60_CS.npz", "data.benchmarks": ["xsub"]}
PKL = {"data.raw": "data/raw/ntu60_3danno.pkl"}
PUBLISHED = {"caption.published": "published/pkuv2_language.zip"}
LANGUAGE = {"pretrain.objective.knowledge": "language"}
TARGET = {"dataset": "pku2", "raw": "data/pku2", "benchmark": "xsub"}
ASKED = {  # for their fingerprint; they are not of this data
    "results/compare/compare.json",
    "results/ablations/ablations.json",
}
SHORT = {  # in `make test`; between them they take every stage, with and without prompts
    "small": Recipe("small", raw_ntu()),
    "ctrgcn": Recipe(
        "paper",
        lambda root, _: recipe_data.ctrgcn(root / "data/raw/NTU60_CS.npz"),
        NPZ,
        pretrained=False,
    ),
}
LONG = {
    "paper": Recipe("paper", raw_ntu()),
    "ntu60-xview": Recipe("paper", raw_ntu(), {"data.benchmarks": ["xview"]}),
    "ntu120": Recipe("paper", raw_ntu(), {**NTU120, "data.benchmarks": ["xsub", "xset"]}),
    "ntu120-xsub": Recipe("small", raw_ntu(), {**NTU120, "data.benchmarks": ["xsub"]}),
    "ntu120-xset": Recipe("small", raw_ntu(), {**NTU120, "data.benchmarks": ["xset"]}),
    "pku1": Recipe("small", raw_pku("pku1"), {"data.dataset": "pku1"}),
    "pku2": Recipe("paper", raw_pku("pku2"), {"data.dataset": "pku2"}),
    "pyskl": Recipe(
        "paper",
        lambda root, filmed: recipe_data.pyskl(
            root / "data/raw/ntu60_3danno.pkl", recipe_data.names(filmed)
        ),
        PKL,
        pretrained=False,
    ),
    "skeletons-published": Recipe(
        "small", skeletons_and_answers, {"data.dataset": "pku2", **PUBLISHED, **LANGUAGE}
    ),
    "videos-published": Recipe(
        "small", answers_and_videos, {"caption.published": "published/answers.zip"}
    ),
    "skeletons-alone": Recipe(
        "small", skeletons_alone, {"transfer.targets": {"pku2": TARGET}}, pretrained=False
    ),
    "one-missing": Recipe("small", one_missing),
    "transfer": Recipe("small", with_target, {"transfer.targets": {"pku2": TARGET}}),
    "three-streams": Recipe(
        "small", raw_ntu(), {f"{name}.streams": ["joint", "motion", "bone"] for name in SECTIONS}
    ),
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, python: Path, store: Path) -> Project:
    """A folder in which the demo ran, and `make compare` and `make ablations`."""
    made = copy_of_the_working_tree(tmp_path_factory.mktemp("demo") / "project")
    made.environment |= settings(python, store)
    for name in ("Makefile", "ablations.yaml"):
        shutil.copy(ROOT / name, made.folder)
    declared = yaml.safe_load((ROOT / "ablations.yaml").read_text(encoding="utf-8"))
    declared |= {"seeds": 1, "studio_base": {"epochs": 1, "milestones": []}}
    (made.folder / "ablations.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    for target in ("compare", "ablations"):  # -o: the environment is installed
        made.works("make", "-o", ".venv/.installed", target)
    return made


@pytest.mark.parametrize("name", SHORT)
def test_recipe(name: str, project: Project, filmed: Path) -> None:
    SHORT[name].prepare(project, filmed)
    reaches_the_report(project, SHORT[name])


@pytest.mark.recipes
@pytest.mark.parametrize("name", LONG)
def test_long_recipe(name: str, project: Project, filmed: Path) -> None:
    LONG[name].prepare(project, filmed)
    reaches_the_report(project, LONG[name])


@pytest.mark.recipes
def test_make_compare_and_make_ablations(demo: Project) -> None:
    summary = json.loads((demo.folder / "results/compare/compare.json").read_text())
    assert summary["seeds"] == [0, 1, 2, 3, 4]
    tables = {path.stem for path in (demo.folder / "results/report/tables").iterdir()}
    assert {"compare", "table-6-knowledge", "table-7-components", "table-8-encoders"} <= tables


@pytest.mark.recipes
@pytest.mark.parametrize("name", ["small", "ntu120-xset", "skeletons-alone"])
def test_recipe_in_the_folder_of_a_demo(
    name: str, demo: Project, filmed: Path, tmp_path: Path
) -> None:
    """The demo's encoders, tables, truth and comparison are still there; nothing reads them."""
    shutil.copytree(demo.folder, tmp_path / "project", symlinks=True)
    project = Project(tmp_path / "project")
    project.environment = demo.environment | {"PYTHONPATH": str(project.folder)}
    recipe = (SHORT | LONG)[name]
    recipe.prepare(project, filmed)
    page = reaches_the_report(project, recipe)
    assert "studio" not in page.replace("profiles/", "").split("Settings of this run")[0]
    tables = {path.stem for path in (project.folder / "results/report/tables").iterdir()}
    assert (project.folder / "results/compare/compare.json").exists() and "compare" not in tables
    assert "is of other data" in page and not any(one.startswith("table-6") for one in tables)
    with Repo(str(project.folder)) as repo:
        stages = resolved(repo, project.params())
    now = {name_of(out) for stage in stages.values() for out in stage["outs"]}
    targets = project.params()["transfer"]["targets"].values()
    raw = {project.params()["data"]["raw"], *(target["raw"] for target in targets)}
    for called, stage in stages.items():
        with opened_files(project.folder) as opened:
            project.works(*stage["cmd"].split(), DVC_STAGE=called)
        left = {path for path in opened if path.split("/")[0] in ("data", "results", "truth")}
        left -= {path for path in left if lies_in(path, now | raw)} | ASKED
        assert not left, f"{stage['cmd']} reads {sorted(left)[:3]}, which the demo left"
