"""A copy of this working tree as its own project: a git repository with DVC and a small world."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    "c2vl",
    "stages",
    "profiles",
    "checkpoints",
    "truth/README.md",
    "published/README.md",
    "descriptions/README.md",
    "extensions/README.md",
    "dvc.yaml",
    ".dvc/config",
    ".dvc/.gitignore",
    ".dvcignore",
    ".gitignore",
)
RUN = re.compile(r"^Running stage '([^']+)'", re.MULTILINE)


def processor_seconds() -> float:
    """Processor time of all finished children of this process, in seconds."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


class Project:
    """A folder to run commands in as a user would, with this Python and the copy's own code.

    Args:
        folder: root of the copy.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Not resolved: the environment's programs lie beside the symbolic link.
        here = str(Path(sys.executable).parent)
        dropped = {name for name in os.environ if name.startswith(("C2VL_", "DVC_", "GIT_"))}
        self.environment = {
            name: value for name, value in os.environ.items() if name not in dropped
        } | {
            "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(folder),
            "GIT_AUTHOR_NAME": "test",
            "GIT_AUTHOR_EMAIL": "test@localhost",
            "GIT_COMMITTER_NAME": "test",
            "GIT_COMMITTER_EMAIL": "test@localhost",
        }

    def starts_quickly(self, programs: Path) -> None:
        """Run `python stages/...` and `c2vl` by `programs` (`warm_python.py`)."""
        self.environment["PATH"] = f"{programs}{os.pathsep}{self.environment['PATH']}"

    def run(
        self, *command: str, timeout: float = 1800, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the project."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def works(self, *command: str, **options: Any) -> str:
        """Run a command that must succeed; return its standard output."""
        done = self.run(*command, **options)
        assert done.returncode == 0, (
            f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        )
        return done.stdout

    def repro(self, *arguments: str) -> list[str]:
        """Run `dvc repro`; return the stages that it ran."""
        return RUN.findall(self.works("dvc", "repro", *arguments))

    def params(self) -> dict[str, Any]:
        """Content of `params.yaml`."""
        return yaml.safe_load((self.folder / "params.yaml").read_text(encoding="utf-8"))

    def write_params(self, params: dict[str, Any]) -> None:
        """Write `params.yaml`."""
        (self.folder / "params.yaml").write_text(
            yaml.safe_dump(params, sort_keys=False), encoding="utf-8"
        )


def copy_of_the_working_tree(folder: Path) -> Project:
    """Copy what a run needs to `folder` and make it a git repository with one commit.

    The copy includes changes that are not committed.
    """
    for part in PARTS:
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(source, target)
    project = Project(folder)
    project.write_params(small_world())
    project.works("git", "init", "-q", "-b", "main")
    commit(project, "a small world")
    return project


def commit(project: Project, message: str) -> None:
    """Commit everything that git does not ignore."""
    project.works("git", "add", "-A")
    project.works("git", "commit", "-q", "-m", message)


def small_world() -> dict[str, Any]:
    """The demo profile, cut to a few dozen clips, four actions, few epochs, a narrow encoder."""
    params: dict[str, Any] = yaml.safe_load(
        (ROOT / "profiles" / "demo.yaml").read_text(encoding="utf-8")
    )
    params["data"]["benchmarks"] = ["xsub"]
    actions = ["drink water", "make a phone call", "sit down", "shake hands"]
    params["studio"] |= {"setups": 2, "subjects": 3, "height": 144, "broken": 2, "actions": actions}
    params["crop"]["frames_per_clip"] = 2
    params["pose"] |= {"frames": 6, "look_every": 3}  # it looks at the frames of crop
    params["pretrain"] |= {"epochs": 2, "batch": 32, "milestones": [2], "probe_every": 1}
    params["pretrain"]["encoder"] |= {"width": 4}
    params["pretrain"]["view"] |= {"frames": 16}
    params["evaluate"]["linear"] |= {"epochs": 5, "milestones": []}
    params["baselines"]["supervised"] |= {"epochs": 2, "milestones": [2]}
    for section in ("finetune", "semi", "transfer"):
        params[section] |= {"epochs": 1, "milestones": [], "warmup_epochs": 0}
    params["semi"] |= {"fractions": [0.1], "draws": 2}
    params["zero_shot"] |= {"splits": ["draw-1"], "unseen": 2}
    params["zero_shot"]["schedule"] |= {"epochs": 1, "milestones": []}
    params["target_world"] |= {"setups": 1, "subjects": 3}
    params["transfer"]["targets"]["studio-b"]["train_subjects"] = [1, 2]
    params["report"] |= {"gallery": 2, "tsne_classes": 3}
    return params
