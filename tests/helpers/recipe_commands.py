"""Commands that a user runs on a data set after its pipeline; each must answer."""

from __future__ import annotations

import json
from collections.abc import Sequence

from whole_project import Project

from c2vl.core import tables
from c2vl.core.layout_file import read_layout

ON_ANY_DATA = (
    ("doctor",),
    ("plan", "--no-training", "--samples", "2"),
    ("metrics",),
    ("quality",),
    ("timings",),
    ("failures",),
    ("why",),
)


def commands_answer(project: Project, pretrained: bool, files: Sequence[str]) -> None:
    """Run the commands of the README on the data set of `project`.

    Args:
        project: whose pipeline ran.
        pretrained: whether there were prompts to learn from.
        files: skeleton files of it, for `predict`, and options.
    """
    for command in ON_ANY_DATA:
        answered(project, *command)
    row = tables.rows_of(tables.read(project.folder / "data/skeleton"))[0]
    answered(project, "show", row["sample"], "--out", "clip.png")
    assert (project.folder / "clip.png").stat().st_size > 1000
    layout = read_layout(project.folder / "data")
    answered(project, "export", "exported", "--stream", "joint")
    config = json.loads((project.folder / "exported/config.json").read_text())
    assert config["graph"]["joint_names"] == list(layout.joints)
    if files:
        found = json.loads(answered(project, "predict", *files, "--json"))
        classes = json.loads((project.folder / "data/index/classes.json").read_text())
        for one in found:
            assert one["classifier"].startswith("supervised") is not pretrained
            assert {action["action"] for action in one["actions"]} <= set(classes)


def answered(project: Project, *command: str) -> str:
    """What `c2vl command` prints; it does not speak of other data sets."""
    done = project.run("c2vl", *command)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "Traceback" not in said, said[-3000:]
    assert "NTU" not in said, said
    return done.stdout
