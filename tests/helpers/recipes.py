"""A recipe: what a user does from raw files to the report, on a few clips."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from whole_project import ROOT, Project

Params = dict[str, Any]
SECTIONS = ("finetune", "semi", "transfer")
NOT_PRETRAINED = "No encoder was pretrained."


def scaled_down(params: Params) -> Params:
    """A profile with the tiny engines, one epoch of everything, and as few prompts a clip."""
    demo = yaml.safe_load((ROOT / "profiles/demo.yaml").read_text(encoding="utf-8"))
    for section, engine in (("crop", "detector"), ("caption", "captioner"), ("embed", "encoder")):
        params[section][engine] = demo[section][engine]
    params["crop"]["frames_per_clip"] = 2
    short = {"epochs": 1, "milestones": []}
    params["pretrain"] |= {**short, "warmup_epochs": 0, "probe_every": 0, "tracker": "none"}
    params["pretrain"]["encoder"] |= {"width": 4, "blocks": 3}
    params["pretrain"]["view"] |= {"frames": 16, "shortest": 16}
    params["baselines"]["supervised"] |= short
    params["evaluate"]["linear"] |= {"epochs": 2, "milestones": []}
    for section in SECTIONS:
        params[section] |= {**short, "warmup_epochs": 0}
    params["semi"]["draws"] = 1
    params["report"] |= {"gallery": 2}
    return params


@dataclass
class Recipe:
    """What a user does: a profile, changes in params.yaml by dotted name, and files to place."""

    profile: str
    place: Callable[[Path, Path], None]  # (project, filmed)
    changes: Params = field(default_factory=dict)
    pretrained: bool = True
    asked: tuple[str, ...] = ()  # files for `c2vl predict`

    def prepare(self, project: Project, filmed: Path) -> None:
        """Place the files, switch to the profile and write the changes."""
        self.place(project.folder, filmed)
        if not (ROOT / f"profiles/{self.profile}.yaml").exists():
            project.works("c2vl", "init", "data/raw", "--params", self.profile)
        project.works("c2vl", "profile", self.profile, "--force")
        params = scaled_down(project.params())
        for dotted, value in self.changes.items():
            *path, last = dotted.split(".")
            place = params
            for part in path:
                place = place[part]
            place[last] = value
        project.write_params(params)


def settings(python: Path, store: Path) -> dict[str, str]:
    return {
        "PATH": f"{python}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "C2VL_WORKERS": "1",
        "C2VL_STORE": str(store),
        "OMP_NUM_THREADS": "1",
    }


def reaches_the_report(project: Project, recipe: Recipe) -> str:
    """Run all of it; return the page."""
    project.repro()
    said = project.works("dvc", "repro")
    assert "Running stage" not in said, "a second run finds everything up to date"
    params = project.params()
    found = json.loads((project.folder / "results/evaluate/metrics.json").read_text())
    protocols = json.loads((project.folder / "results/protocols/metrics.json").read_text())
    methods = {"random", "supervised"} | ({"c2vl", "infonce"} if recipe.pretrained else set())
    starts = {"scratch"} | ({"c2vl"} if recipe.pretrained else set())
    for benchmark in params["data"]["benchmarks"]:
        assert set(found["linear"][benchmark]["joint"]) == methods
        for section in ("finetune", "semi"):
            of = protocols[section][benchmark]
            assert set(params[section]["streams"]) <= set(of)
            assert all(set(by) == starts for by in of.values())
    assert set(found["linear"]) == set(protocols["finetune"]) == set(params["data"]["benchmarks"])
    assert set(protocols["transfer"]) == set(params["transfer"]["targets"])
    page = (project.folder / "results/report/index.html").read_text(encoding="utf-8")
    assert (NOT_PRETRAINED in page) is not recipe.pretrained
    assert recipe.pretrained or "caption.published" in page
    return page
