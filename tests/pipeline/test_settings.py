"""Wrong settings are found before a run: by doctor, by profile, and by the first stage."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from c2vl.cli import main
from c2vl.datasets.data_params import DataParams
from c2vl.prompts.caption import CaptionParams
from c2vl.settings import SECTIONS, check_settings, faults

ROOT = Path(__file__).resolve().parents[2]
GONE: Any = object()
TYPOS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown benchmark": ({"data.benchmarks": ["xsub", "xset"]}, "'xset'"),
    "a benchmark twice": ({"data.benchmarks": ["xsub", "xsub"]}, "data.benchmarks"),
    "unknown dataset": ({"data.dataset": "ntu61"}, "data.dataset"),
    "negative epochs": ({"pretrain.epochs": -1}, "pretrain.epochs"),
    "milestone beyond epochs": ({"pretrain.milestones": [38, 450]}, "450"),
    "milestone of finetune": ({"finetune.milestones": [60]}, "finetune.milestones"),
    "milestone of semi": ({"semi.milestones": [60]}, "semi.milestones"),
    "milestone of transfer": ({"transfer.milestones": [0]}, "transfer.milestones"),
    "milestone of supervised": ({"baselines.supervised.milestones": [99]}, "supervised"),
    "milestone of linear": ({"evaluate.linear.milestones": [800]}, "evaluate.linear"),
    "warm-up longer than all": ({"semi.warmup_epochs": 99}, "semi.warmup_epochs"),
    "misspelt stream": ({"finetune.streams": ["jiont"]}, "finetune.streams"),
    "stream of transfer": ({"transfer.streams": ["bones"]}, "transfer.streams"),
    "source without an encoder": ({"data.benchmarks": ["xview"]}, "transfer.source"),
    "missing target folder": (
        {"transfer.targets.pku2": {"dataset": "pku2", "raw": "data/pku2", "benchmark": "xsub"}},
        "data/pku2 is not there",
    ),
    "target's benchmark": ({"transfer.targets.studio-b.benchmark": "xset"}, "xset"),
    "target's name in a shell": (
        {"transfer.targets.x; touch y": {"dataset": "pku2", "raw": "data", "benchmark": "xsub"}},
        "x; touch y",
    ),
    "no prompts a clip": ({"crop.frames_per_clip": 0}, "crop.frames_per_clip"),
    "empty batch": ({"pretrain.batch": 0}, "pretrain.batch"),
    "batch of finetune": ({"finetune.batch": 0}, "finetune.batch"),
    "small batch above batch": ({"pretrain.micro_batch": 64}, "micro_batch"),
    "unknown encoder": (
        {"pretrain.encoder.name": "stgnc"},
        "`pretrain.encoder`: no encoder has this `name`; give stgcn, ctrgcn, ",
    ),
    "no width": ({"pretrain.encoder.width": 0}, "`pretrain.encoder.width`: "),
    "misspelt benchmark": (
        {"data.dataset": "ntu60", "data.benchmarks": ["xwiev"]},
        "`data`: ntu60 has the benchmarks xsub, xview, not 'xwiev'.",
    ),
    "a number for a text": ({"data.benchmarks": ["xsub", 3]}, "`data.benchmarks.1`: "),
    "another skeleton": (
        {"pretrain.encoder.graph": "kinect20"},
        "skeleton of the data is ntu25",
    ),
    "beta above 1": ({"pretrain.objective.beta": 2}, "pretrain.objective.beta"),
    "a word for a number": ({"evaluate.knn_neighbours": "one"}, "evaluate.knn_neighbours"),
    "misspelt section": ({"evalaute": {"seed": 0}}, "`evalaute`"),
    "misspelt profile": ({"profile": GONE, "profil": "demo"}, "`profil`"),
    "missing section": ({"score": GONE}, "`score`"),
    "a world of real data": (
        {"data": {"dataset": "ntu60", "raw": "data/raw", "benchmarks": ["xsub"]}},
        "worlds",
    ),
    "no colour joints": (
        {
            "data": {"dataset": "pku2", "raw": "data/raw", "benchmarks": ["xsub"]},
            "worlds": [],
            "transfer.targets": {},
            "crop.detector.backend": "skeleton",
        },
        "`crop.detector.backend` is skeleton, but the skeletons of pku2 have no colour joints",
    ),
    "a detector without a model": ({"crop.detector.model": None}, "needs a `model`"),
    "an unknown world": ({"worlds": ["studio-c"]}, "`worlds`"),
    **{f"unknown key of {name}": ({f"{name}.mispelt": 1}, f"{name}.mispelt") for name in SECTIONS},
}


def changed(changes: dict[str, Any], profile: str = "demo") -> dict[str, Any]:
    params = yaml.safe_load((ROOT / f"profiles/{profile}.yaml").read_text(encoding="utf-8"))
    for dotted, value in changes.items():
        *path, last = dotted.split(".")
        place = params
        for part in path:
            place = place[part]
        if value is GONE:
            del place[last]
        else:
            place[last] = value
    return params


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("typo", TYPOS)
def test_a_wrong_setting_is_one_sentence_that_names_it(typo: str, here: Path) -> None:
    changes, said = TYPOS[typo]
    found = faults(changed(changes))
    assert found and said in found[0], found


@pytest.mark.parametrize("profile", ["demo", "small", "paper", "study"])
def test_the_profiles_have_no_fault(profile: str, here: Path) -> None:
    assert faults(changed({}, profile)) == []


@pytest.mark.parametrize("section", ["skeleton", "pose", "crop", "caption", "embed", "class_names"])
def test_the_profiles_have_the_same_keys(section: str) -> None:
    demo = set(keys(changed({})[section]))
    for profile in ("small", "paper", "study"):
        assert set(keys(changed({}, profile)[section])) == demo, profile


def keys(values: dict[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        yield key
        if isinstance(value, dict):
            yield from (f"{key}.{inner}" for inner in keys(value))


@pytest.mark.parametrize("profile", ["small", "paper", "study"])
def test_keys_that_only_say_the_default_change_no_content_key(profile: str) -> None:
    said = changed({}, profile)
    spared = ["caption.per", "caption.clip_question", "caption.captioner.max_pixels"]
    spared += ["caption.captioner.temperature"] * (profile != "study") + ["data.skeleton"]
    unsaid = changed(dict.fromkeys(spared, GONE), profile)
    now, before = (CaptionParams(**params["caption"]) for params in (said, unsaid))
    assert now == before and now.asking().in_key() == before.asking().in_key()
    assert "max_pixels" not in now.asking().in_key()
    assert DataParams(**said["data"]) == DataParams(**unsaid["data"])


def test_a_target_s_folder_may_be_made_by_the_demo_or_be_indexed_elsewhere(here: Path) -> None:
    target = {"dataset": "pku2", "raw": "data/pku2", "benchmark": "xsub"}
    params = changed({"transfer.targets.pku2": target})
    assert faults(params)
    (here / "data/targets/pku2/index").mkdir(parents=True)
    assert faults(params) == []  # pulled: who trains needs no raw files


def test_all_faults_are_said_at_once(here: Path) -> None:
    params = changed({"pretrain.epochs": 0, "finetune.streams": ["jiont"], "score.seeed": 1})
    assert len(faults(params)) == 3


def test_profile_and_doctor_say_it_and_exit_with_1(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(changed({"finetune.milestones": [60]})))
    for command in ("profile", "doctor"):
        with pytest.raises(SystemExit) as stopped:
            main([command])
        assert stopped.value.code == 1
        assert "finetune.milestones" in capsys.readouterr().out


@pytest.mark.parametrize(("changes", "said"), [TYPOS["milestone of semi"], TYPOS["beta above 1"]])
def test_nothing_runs_before_the_settings_are_checked(
    here: Path, changes: dict[str, Any], said: str
) -> None:
    for name in ("stages", "c2vl"):
        (here / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "dvc.yaml", here)
    (here / "checkpoints").symlink_to(ROOT / "checkpoints")
    Path("params.yaml").write_text(yaml.safe_dump(changed(changes)))
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--no-scm", "-q"], check=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": path}
    done = subprocess.run([*dvc, "repro"], capture_output=True, text=True, env=environment)
    assert done.returncode != 0 and said in done.stderr and "Traceback" not in done.stderr
    assert done.stdout.count("Running stage") == 1 and "Running stage 'check'" in done.stdout
    with pytest.raises(Exception, match=said):
        check_settings()
