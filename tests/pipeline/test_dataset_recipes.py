"""Other data sets than NTU's and PKU-MMD, from their files to the report and to `c2vl predict`.

`make recipes` runs them. The shipped tiny engines see the studio's videos; joints are invented.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import recipe_formats
from recipe_commands import commands_answer
from recipes import Recipe, reaches_the_report
from whole_project import Project

pytestmark = [pytest.mark.slow, pytest.mark.recipes]
ANSWERS = {
    "caption.published": "published/answers.zip",
    "pretrain.objective.knowledge": "language",
}
RECIPES = {
    "nwucla": Recipe(
        "small",
        recipe_formats.nw_ucla,
        {"data.dataset": "nwucla", "data.benchmarks": ["xview"]},
        asked=("data/raw/all_sqe",),
    ),
    "utdmhad": Recipe(
        "small",
        recipe_formats.utd_mhad,
        {"data.dataset": "utdmhad", "data.benchmarks": ["xsub"]},
        asked=("data/raw/Skeleton",),
    ),
    "ntu60-hrnet": Recipe(
        "small",
        recipe_formats.ntu_hrnet,
        {**ANSWERS, "data.raw": "data/raw/ntu60_hrnet.pkl"},
        asked=(),
    ),
    "gym-hrnet": Recipe(
        "small",
        recipe_formats.gym_hrnet,
        {
            **ANSWERS,
            "data.dataset": "pyskl",
            "data.raw": "data/raw/gym_hrnet.pkl",
            "data.benchmarks": ["split"],
        },
        asked=(),
    ),
    "own-clips": Recipe("mine", recipe_formats.own_clips, asked=("data/raw/sit down",)),
    "openpose": Recipe(
        "mine",
        recipe_formats.open_pose,
        pretrained=False,
        asked=("data/raw/test/run", "--size", "256x144"),
    ),
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipe(name: str, project: Project, filmed: Path) -> None:
    RECIPES[name].prepare(project, filmed)
    reaches_the_report(project, RECIPES[name])
    commands_answer(project, RECIPES[name].pretrained, RECIPES[name].asked)
