"""The profiles load into all section models, and contain no unused or misspelt key."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

import code_deps
import pytest
import yaml

from c2vl.core.errors import UserError
from c2vl.core.params import ParamsModel, load_section
from c2vl.settings import SECTIONS
from c2vl.studio.dataset import takes
from c2vl.studio.studio_params import StudioParams

ROOT = code_deps.ROOT
PROFILES = ("demo", "small", "paper", "best", "study")
# Sections of the synthetic worlds, which other profiles lack.
WORLDS = {"demo": set(), "study": {"target_world"}}
NONE = {"studio", "target_world"}
FOR_DVC = {"profile", "worlds", "target_worlds"}


def loads() -> dict[str, set[type[ParamsModel]]]:
    """Section -> its models, from every call `load_section("name", Model)` that a stage reaches."""
    found: dict[str, set[type[ParamsModel]]] = {}
    for script in code_deps.scripts().values():
        for path in code_deps.used_files(script):
            if path.endswith(".py"):
                for section, model in _loads_in(ROOT / path):
                    found.setdefault(section, set()).add(model)
    return found


def _loads_in(path: Path) -> list[tuple[str, type[ParamsModel]]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    homes = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in imports
        for alias in node.names
    }
    found: list[tuple[str, type[ParamsModel]]] = []
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "load_section"
        ):
            section, model = node.args[:2]
            assert isinstance(section, ast.Constant) and isinstance(model, ast.Name), path
            inside = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            home, name = homes.get(model.id, (inside, model.id))
            found.append((section.value, getattr(importlib.import_module(str(home)), name)))
    return found


@pytest.fixture(scope="module")
def models() -> dict[str, set[type[ParamsModel]]]:
    return loads()


def profile(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "profiles" / f"{name}.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", PROFILES)
def test_every_section_loads(name: str, models: dict[str, set[type[ParamsModel]]]) -> None:
    path = ROOT / "profiles" / f"{name}.yaml"
    sections = set(profile(name)) - FOR_DVC
    assert sections == set(models) - WORLDS.get(name, NONE)
    for section in sections:
        for model in models[section]:
            assert isinstance(load_section(section, model, path), ParamsModel)


@pytest.mark.parametrize("name", PROFILES)
def test_a_misspelt_key_in_any_section_is_named(
    name: str, models: dict[str, set[type[ParamsModel]]], tmp_path: Path
) -> None:
    for section in set(profile(name)) - FOR_DVC:
        wrong = profile(name)
        wrong[section]["mispelt"] = 1
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(wrong))
        with pytest.raises(UserError, match=rf"{section}.*mispelt"):
            for model in models[section]:
                load_section(section, model, tmp_path / "params.yaml")


def test_every_section_is_checked_before_a_run_as_the_stages_load_it(
    models: dict[str, set[type[ParamsModel]]],
) -> None:
    assert {name: set(of) for name, of in SECTIONS.items()} == models


def test_profiles_name_themselves_and_only_the_demo_and_the_study_simulate() -> None:
    for name in PROFILES:
        assert profile(name)["profile"] == name
        assert bool(profile(name)["worlds"]) is (name in WORLDS)
        assert (profile(name)["data"]["raw"] == "data/studio") is (name in WORLDS)


def test_the_study_s_world_is_large_enough_to_decide() -> None:
    """At least 6,000 clips, 40 people, 30 classes, and 2,000 test clips of each benchmark."""
    params = StudioParams.model_validate(profile("study")["studio"])
    plan = takes(params)
    train = set(profile("study")["data"]["train_subjects"])
    held_out = [take for take in plan if take.subject not in train]
    assert 3 * len(plan) >= 6000 and len({take.action for take in plan}) >= 30
    assert len({take.subject for take in plan}) >= 40
    assert 3 * len(held_out) >= 2000  # xsub: three cameras
    assert len(plan) >= 2000  # xview: camera 1


def test_hub_models_of_the_paper_profile_are_pinned_and_local_ones_are_shipped() -> None:
    for section, engine in (("crop", "detector"), ("caption", "captioner"), ("embed", "encoder")):
        paper, demo = profile("paper")[section][engine], profile("demo")[section][engine]
        assert len(paper["revision"]) == 40
        assert (ROOT / demo["model"]).is_dir()


def test_the_best_profile_is_the_papers_but_for_the_objective_and_the_frames_of_a_view() -> None:
    best, paper = profile("best"), profile("paper")
    frames = [each["pretrain"]["view"].pop("frames") for each in (best, paper)]
    assert 2 * frames[0] == 1.5 * frames[1]  # two views, in 1.5 times the time of a step
    objectives = [each["pretrain"].pop("objective") for each in (best, paper)]
    best["profile"] = "paper"
    assert best == paper
    assert objectives[0]["name"] == "two_views"
    assert objectives[0]["knowledge"] == objectives[1]["knowledge"]


def test_the_paper_profile_has_the_papers_settings() -> None:
    paper = profile("paper")
    pretrain, objective = paper["pretrain"], paper["pretrain"]["objective"]
    assert (
        pretrain["batch"],
        pretrain["epochs"],
        pretrain["learning_rate"],
        pretrain["weight_decay"],
    ) == (400, 150, 0.1, 5e-4)
    assert pretrain["milestones"] == [130, 140] and pretrain["view"]["frames"] == 64
    assert pretrain["encoder"]["name"] == "stgcn" and pretrain["encoder"]["width"] == 64
    assert (objective["beta"], objective["alpha_start"], objective["alpha_end"]) == (0.2, 0.9, 0.1)
    assert (
        objective["intra"]
        and objective["inter"]
        and objective["partition"]
        and objective["progressive"]
    )
    assert paper["crop"]["frames_per_clip"] == 16
    assert (
        paper["caption"]["captioner"]["question"]
        == profile("demo")["caption"]["captioner"]["question"]
    )
