"""Stages take a training from the store where it is known: the same bytes, and nothing runs."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from synthetic import BENCHMARK, PARAMS, write_data

from c2vl.store.trained import TrainedStore
from c2vl.training import loop

ROOT = Path(__file__).resolve().parents[2]
SHORT: dict[str, Any] = {
    "epochs": 2,
    "milestones": [],
    "warmup_epochs": 0,
    "batch": 8,
    "learning_rate": 0.05,
    "streams": ["joint"],
}
TARGET = {"dataset": "studio", "raw": "nowhere", "benchmark": BENCHMARK, "train_subjects": [1]}
SECTIONS: dict[str, Any] = {
    "data": {"dataset": "studio", "raw": "nowhere", "benchmarks": [BENCHMARK]},
    "pretrain": PARAMS.model_copy(update={"epochs": 2, "tracker": "none"}).model_dump(mode="json"),
    "baselines": {"supervised": {"epochs": 2, "milestones": []}},
    "finetune": SHORT,
    "semi": {**SHORT, "fractions": [0.1, 0.5], "draws": 2},
    "transfer": {**SHORT, "targets": {"elsewhere": TARGET}},
}
PRETRAIN = Path(f"results/pretrain/{BENCHMARK}-joint")
STAGES: dict[str, tuple[tuple[str, ...], Path]] = {
    "pretrain": ((BENCHMARK, "joint"), PRETRAIN),
    "baselines": ((BENCHMARK,), Path(f"results/baselines/{BENCHMARK}")),
    "finetune": ((BENCHMARK, "joint"), Path(f"results/finetune/full/{BENCHMARK}-joint")),
    "semi": ((BENCHMARK, "joint"), Path(f"results/finetune/semi/{BENCHMARK}-joint")),
    "transfer": (("elsewhere",), Path("results/finetune/transfer/elsewhere")),
}


class Project:
    """A folder in which every training stage ran once."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root, self.patch, self.steps = root, patch, 0

    def write(self, **sections: Any) -> None:
        """Write params.yaml with some sections changed."""
        (self.root / "params.yaml").write_text(yaml.safe_dump({**SECTIONS, **sections}))

    def run(self, stage: str) -> int:
        """Run a stage as DVC does, its output removed; returns how many steps were trained."""
        arguments, out = STAGES[stage]
        shutil.rmtree(out, ignore_errors=True)
        return self.rerun(stage, *arguments)

    def rerun(self, stage: str, *arguments: str) -> int:
        """Run a stage with its output in place."""
        real, self.steps = loop.backward, 0

        def counted(*given: Any, **named: Any) -> torch.Tensor:
            self.steps += 1
            return real(*given, **named)

        with self.patch.context() as patch:
            patch.setattr(loop, "backward", counted)
            patch.setattr(sys, "argv", [stage, *arguments])
            runpy.run_path(str(ROOT / "stages" / f"{stage}.py"), run_name="__main__")
        return self.steps


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("reuse")
    write_data(root / "data")
    write_data(root / "data/targets/elsewhere", clips=32, seed=9)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        project = Project(root, patch)
        project.write()
        for stage in STAGES:
            assert project.run(stage) > 0
    return root


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A copy of it for each test."""
    root = tmp_path / "project"
    shutil.copytree(trained, root)
    monkeypatch.chdir(root)
    yield Project(root, monkeypatch)


@pytest.mark.parametrize("stage", STAGES)
def test_a_second_run_trains_nothing_and_writes_the_same_bytes(
    stage: str, project: Project, capsys
) -> None:
    out = STAGES[stage][1]
    before = content(out)
    capsys.readouterr()
    assert project.run(stage) == 0
    assert content(out) == before
    assert "taken from the store (same parameters, data and code)." in capsys.readouterr().err
    assert not list(project.root.rglob("state.pt"))


@pytest.mark.parametrize("stage", STAGES)
def test_where_the_store_is_empty_the_last_output_gives_the_same_bytes(
    stage: str, project: Project
) -> None:
    """As in a clone that ran `dvc pull`; that DVC's cache is asked too, test_trained.py shows."""
    arguments, out = STAGES[stage]
    before = content(out)
    shutil.rmtree(project.root / ".c2vl")
    assert project.rerun(stage, *arguments) == 0
    assert content(out) == before
    assert TrainedStore().entries()


@pytest.mark.parametrize("stage", ["pretrain", "finetune", "semi"])
@pytest.mark.parametrize("name", ["encoder.safetensors", "scores.parquet", "trained.json"])
def test_a_damaged_output_gives_nothing(stage: str, name: str, project: Project) -> None:
    arguments, out = STAGES[stage]
    if not (out / name).exists():
        pytest.skip("this stage writes no such file")
    before = content(out)
    shutil.rmtree(project.root / ".c2vl")
    bent = bytearray(before[name])
    bent[len(bent) // 2] ^= 4
    (out / name).write_bytes(bent)
    assert project.rerun(stage, *arguments) > 0
    assert content(out) == before


def test_a_damaged_entry_is_trained_again(project: Project, capsys) -> None:
    key = json.loads((PRETRAIN / "trained.json").read_text())["key"]
    path = TrainedStore().folder / key / "encoder.safetensors"
    before, bent = content(PRETRAIN), bytearray(path.read_bytes())
    bent[1000] ^= 1
    path.write_bytes(bent)
    assert project.run("pretrain") > 0
    assert "is damaged; it is set aside" in capsys.readouterr().err
    assert content(PRETRAIN) == before
    assert project.run("pretrain") == 0


def test_another_beta_retrains_c2vl_alone(project: Project) -> None:
    objective = {**SECTIONS["pretrain"]["objective"], "beta": 0.4}
    project.write(pretrain={**SECTIONS["pretrain"], "objective": objective})
    assert project.run("baselines") == 0
    config = STAGES["baselines"][1] / "infonce/config.json"
    assert json.loads(config.read_text())["training"]["objective"]["beta"] == 0.4
    assert project.run("pretrain") > 0


def test_a_new_share_trains_only_what_is_new(project: Project) -> None:
    wider = {**SECTIONS["semi"], "fractions": [0.1, 0.3, 0.5], "starts": ["c2vl"]}
    project.write(semi=wider)
    steps = project.run("semi")
    found = content(STAGES["semi"][1])
    shutil.rmtree(project.root / ".c2vl")
    assert 0 < steps < project.run("semi")
    assert content(STAGES["semi"][1]) == found


def test_finetuning_depends_on_the_encoder_s_weights_and_on_nothing_else_of_pretraining(
    project: Project,
) -> None:
    """Neither its record nor its heads count."""
    path = PRETRAIN / "encoder.safetensors"
    (PRETRAIN / "trained.json").unlink()
    weights = load_file(path)
    weights["skeleton_head.weight"][0, 0] += 1
    save_file(weights, path)
    assert project.run("finetune") == 0
    name = next(name for name in weights if name.startswith("encoder.") and "weight" in name)
    weights[name].view(-1)[0] += 1e-6
    save_file(weights, path)
    assert project.run("finetune") > 0


def test_a_stage_that_trains_nothing_imports_no_tracker_and_no_dvc(project: Project) -> None:
    code = (
        "import runpy, sys; sys.argv = ['pretrain', {!r}, 'joint']\n"
        "runpy.run_path({!r}, run_name='__main__')\n"
        "slow = {{'dvc', 'dvclive', 'sklearn', 'transformers', 'matplotlib', 'torch._dynamo'}}\n"
        "print(sorted(slow & set(sys.modules)))"
    ).format(BENCHMARK, str(ROOT / "stages/pretrain.py"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "taken from the store" in done.stderr
    assert done.stdout.strip() == "[]"
