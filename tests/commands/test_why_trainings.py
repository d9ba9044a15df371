"""`c2vl why` on trainings: comments or code changed, and whether a training is taken or run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from synthetic import BENCHMARK, PARAMS, write_data

from c2vl.cli import main
from c2vl.commands.pipeline import code_changes
from c2vl.commands.pipeline.code_changes import code_change, hash_of, hash_that_ran
from c2vl.commands.pipeline.training_cells import Cell, cells, described, is_known
from c2vl.core.errors import UserError
from c2vl.core.files import write_json
from c2vl.models.clips import load_clips
from c2vl.models.prompt_features import load_prompts
from c2vl.store.trained import TrainedStore
from c2vl.training.devices import Devices
from c2vl.training.methods import train
from c2vl.training.reuse import Reuse
from c2vl.training.stage import publish
from c2vl.training.training_params import BaselinesParams, PretrainParams
from c2vl.training.zero_shot.pretrain_seen import pretrain_seen
from c2vl.training.zero_shot.protocols import NOTE
from c2vl.training.zero_shot.samples import split_samples
from c2vl.training.zero_shot.zero_shot_params import ZeroShotParams

CELL = f"pretrain@{BENCHMARK}-joint"
OUT = Path(f"results/pretrain/{BENCHMARK}-joint")
CODE = '"""A module."""\n\n\ndef bar(x):\n    return x + 1\n'
SECTIONS: dict[str, Any] = {
    "data": {"dataset": "ntu60", "raw": "nowhere", "benchmarks": [BENCHMARK]},
    "pretrain": PARAMS.model_copy(update={"epochs": 1, "tracker": "none"}).model_dump(mode="json"),
    "baselines": {},
    "zero_shot": {"splits": ["draw-1"], "unseen": 2},
    "finetune": {"streams": ["joint"]},
    "semi": {"streams": ["joint"]},
    "transfer": {"streams": ["joint"]},
}
STAGE = {
    "cmd": "false",  # never run here: the lock file is written by `dvc commit`
    "deps": ["data/index", "data/skeleton", "data/embed", "c2vl/core", "stages/pretrain.py"],
    "params": ["pretrain"],
    "outs": [OUT.as_posix()],
}
PIPELINE = {
    "stages": {"pretrain": {"matrix": {"cell": [f"{BENCHMARK}-joint"]}, **STAGE}},
}


def command(*arguments: str) -> None:
    subprocess.run(arguments, check=True, capture_output=True, timeout=120)


def commit(message: str) -> None:
    command("git", "add", "-A")
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.com")
    command("git", *who, "commit", "-q", "-m", message)


def write_params(**sections: Any) -> None:
    Path("params.yaml").write_text(yaml.safe_dump({**SECTIONS, **sections}))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project under git and DVC whose stage `pretrain` ran."""
    root = tmp_path_factory.mktemp("why")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        write_data(root / "data")
        for path in ("c2vl/core/progress.py", "c2vl/core/lock.py", "stages/pretrain.py"):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(CODE)
        Path("c2vl/core/page.html").write_text("<p>")
        write_params()
        params = PretrainParams.model_validate(SECTIONS["pretrain"])
        clips = load_clips(Path("data"), BENCHMARK, "train", "cpu")
        prompts = load_prompts(Path("data"), clips.samples, params.objective.kinds, "cpu")
        cell = (4, BENCHMARK, "joint", params, BaselinesParams())
        reuse = Reuse(OUT, Devices("cpu"))
        publish(OUT, train("c2vl", clips, prompts, *cell, None, reuse))  # type: ignore[arg-type]
        Path("dvc.yaml").write_text(yaml.safe_dump(PIPELINE))
        command("git", "init", "-q")
        command(sys.executable, "-m", "dvc", "init", "-q")
        Path(".gitignore").write_text(".c2vl/\n__pycache__/\n/data/\n/results/\n")
        Path(".dvcignore").write_text("__pycache__/\n*.pyc\n")
        command(sys.executable, "-m", "dvc", "commit", "-q", "-f")
        commit("first")
        Path("README.md").write_text("Another commit.")
        commit("second")
    return root


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    shutil.copytree(made, root, symlinks=True)
    monkeypatch.chdir(root)
    for remembered in (code_changes.text_with_hash, code_changes._blob, code_changes._lock):
        remembered.cache_clear()
    return root


def lines_of(capsys: pytest.CaptureFixture[str], stage: str = CELL) -> list[str]:
    capsys.readouterr()
    main(["why", stage])
    return capsys.readouterr().out.splitlines()


def test_the_hash_in_the_lock_file_is_that_of_the_files(project: Path) -> None:
    core = {name: Path("c2vl/core", name).read_bytes() for name in sorted(_names("c2vl/core"))}
    assert hash_of(core) == hash_that_ran(CELL, "c2vl/core")
    assert hash_of({"": CODE.encode()}) == hash_that_ran(CELL, "stages/pretrain.py")
    assert hash_that_ran("pretrain@nowhere", "c2vl/core") is None


def _names(folder: str) -> list[str]:
    return [path.name for path in Path(folder).iterdir()]


def test_comments_docstrings_and_formatting_are_told_from_code(project: Path) -> None:
    dep = "c2vl/core"
    assert code_change(CELL, dep).code == []
    Path("c2vl/core/progress.py").write_text(CODE.replace("A module", "Words") + "# more\n")
    assert str(code_change(CELL, dep)) == (
        "c2vl/core changed: comments, docstrings or formatting only"
    )
    Path("c2vl/core/lock.py").write_text(CODE.replace("x + 1", "x + 2"))
    assert str(code_change(CELL, dep)) == "code changed: c2vl/core/lock.py"
    Path("c2vl/core/new.py").write_text("")
    Path("c2vl/core/page.html").write_text("<b>")
    assert code_change(CELL, dep).code == [
        f"{dep}/{name}" for name in ("lock.py", "new.py", "page.html")
    ]
    commit("code")  # the commit that ran is older then, and still found
    assert code_change(CELL, dep).code == [
        f"{dep}/{name}" for name in ("lock.py", "new.py", "page.html")
    ]


def test_what_git_does_not_have_is_unknown(project: Path) -> None:
    shutil.rmtree(".git")
    assert code_change(CELL, "c2vl/core").code is None
    assert "unknown" in str(code_change(CELL, "c2vl/core"))


def test_why_says_whether_the_encoder_is_taken_or_trained(project: Path, capsys) -> None:
    assert lines_of(capsys) == [f"{CELL}: up to date, DVC will not run it"]
    Path("c2vl/core/progress.py").write_text(CODE + "# more\n")
    head = (
        f"{CELL}: DVC will run it ({{}}c2vl/core changed: comments, docstrings or formatting only)"
    )
    assert lines_of(capsys) == [head.format(""), "  the encoder will be taken from the store"]
    objective = {**SECTIONS["pretrain"]["objective"], "beta": 0.4}
    write_params(pretrain={**SECTIONS["pretrain"], "objective": objective})
    changed = head.format("pretrain (modified); ")
    name = f"pretrain {BENCHMARK}-joint"
    trains = f"  {name}: will train: `pretrain.objective.beta` was 0.2, now 0.4"
    assert lines_of(capsys) == [changed, trains]
    write_params(pretrain={**SECTIONS["pretrain"], "tracker": "tensorboard"})
    assert lines_of(capsys) == [changed, "  the encoder will be taken from the store"]
    write_params()
    shutil.rmtree(".c2vl")  # a clone that pulled: the output names its key itself
    assert lines_of(capsys)[1:] == ["  the encoder will be taken from the store"]
    classes = next(Path("data/index").glob("*.json"))
    classes.write_text('["other"]')
    assert "  its inputs may change; if they do not:" in lines_of(capsys)


def test_why_of_an_unknown_stage_is_one_sentence(project: Path, capsys) -> None:
    with pytest.raises((UserError, SystemExit)):
        main(["why", "pretrain@nowhere"])
    assert "No stage 'pretrain@nowhere' trains" in capsys.readouterr().err


@pytest.fixture
def split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cell:
    """The stage of a zero-shot split, in a project with data and without outputs."""
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / "data")
    write_params()
    (cell,) = cells("zero_shot_pretrain")
    assert cell.name == "zero_shot_pretrain@draw-1"
    return cell


def test_both_encoders_of_a_zero_shot_split_are_known(split: Cell, tmp_path: Path) -> None:
    store = TrainedStore()
    assert [is_known(*each, store) for each in described(split)] == [False, False]
    params = ZeroShotParams.model_validate(SECTIONS["zero_shot"])
    pretrain = PretrainParams.model_validate(SECTIONS["pretrain"])
    _, samples = split_samples(Path("data"), BENCHMARK, "draw-1", params)
    cpu, state = torch.device("cpu"), tmp_path / "state"
    pretrain_seen(Path("data"), BENCHMARK, samples, params, pretrain, cpu, state, split.out)
    assert [is_known(*each, store) for each in described(split)] == [True, True]
    schedule = {"epochs": 2, "learning_rate": 0.1}
    write_params(zero_shot={**SECTIONS["zero_shot"], "schedule": schedule})
    assert [is_known(*each, store) for each in described(split)] == [False, False]


def test_a_split_that_the_data_cannot_give_trains_nothing(split: Cell) -> None:
    write_json(split.out / NOTE, {"reason": "no clip"})
    assert not list(described(split))
