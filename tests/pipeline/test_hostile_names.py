"""Names in params.yaml never become shell commands under `dvc repro`."""

from __future__ import annotations

import shutil
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from whole_project import RUN, Project

from c2vl.core.stage_arguments import stage_arguments

ROOT = Path(__file__).resolve().parents[2]
STAGES: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
HOSTILE = [
    "x; touch pwned-1",
    "x$(touch pwned-2)",
    "x`touch pwned-3`",
    "x'; touch pwned-4; '",
    'x"; touch pwned-5; "',
    "x\ntouch pwned-6",
    "x | touch pwned-7",
    "x & touch pwned-8",
    "--help",
]
TEMPLATED = {  # stages with words of params.yaml in their names: how many values each name holds
    **dict.fromkeys(["pretrain", "features", "finetune", "semi"], 2),
    **dict.fromkeys(["baselines", "baseline_features"], 1),
    **dict.fromkeys(["target_index", "target_skeleton", "transfer"], 1),
}


def test_no_command_holds_a_word_of_params_yaml() -> None:
    for name, stage in STAGES.items():
        command = stage.get("do", stage)["cmd"]
        constant = isinstance(stage.get("foreach"), dict)  # written out in dvc.yaml
        assert "${" not in command or constant, f"stage {name}: {command}"


@pytest.mark.parametrize("script", ["target_index", "pretrain"])
def test_a_hostile_name_is_one_sentence_and_runs_nothing(
    tmp_path: Path, python: Path, script: str
) -> None:
    project = Project(tmp_path)
    project.starts_quickly(python)
    project.environment["PYTHONPATH"] = str(ROOT)
    for folder in (".dvc", "stages", "raw"):
        (tmp_path / folder).mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    shutil.copy(ROOT / f"stages/{script}.py", tmp_path / "stages")
    stage = STAGES[script]
    stage.get("do", stage)["deps"] = [f"stages/{script}.py"]
    if script == "pretrain":
        stage["matrix"]["stream"] = ["joint"]
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {script: stage}}))
    target = {"dataset": "ntu60", "raw": "raw", "benchmark": "xsub"}
    params = {
        "transfer": {"targets": dict.fromkeys(HOSTILE, target)},
        "data": {"benchmarks": HOSTILE},
        "pretrain": {},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    done = project.run("dvc", "repro", "--keep-going")
    output = done.stdout + done.stderr
    assert len(RUN.findall(output)) >= len(HOSTILE) - 1, output[-4000:]  # one name has two lines
    assert done.returncode != 0
    assert output.count("\nc2vl: ") == len(HOSTILE) and "Traceback" not in output
    assert not list(tmp_path.rglob("pwned*"))


@pytest.mark.parametrize("value", ["xsub", "studio-b", *HOSTILE])
def test_a_stage_takes_its_values_from_its_name(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for script, values in TEMPLATED.items():
        parser = ArgumentParser()
        parser.add_argument("value")
        if values == 2:
            parser.add_argument("stream")
        monkeypatch.setenv("DVC_STAGE", f"{script}@{value}" + "-joint" * (values - 1))
        monkeypatch.setattr(sys, "argv", [f"stages/{script}.py"])
        assert stage_arguments(parser, values).value == value
        given = ["other", "bone"][:values]  # on the command line, also inside another stage
        monkeypatch.setattr(sys, "argv", [f"stages/{script}.py", *given])
        assert stage_arguments(parser, values).value == "other"
        monkeypatch.setenv("DVC_STAGE", "another@x")
        monkeypatch.setattr(sys, "argv", [f"stages/{script}.py"])
        with pytest.raises(SystemExit):
            stage_arguments(parser, values)
        if values == 1:  # the zero-shot stages: the benchmark comes from params.yaml
            parser = ArgumentParser()
            parser.add_argument("benchmark")
            parser.add_argument("split")
            monkeypatch.setenv("DVC_STAGE", f"{script}@{value}")
            found = stage_arguments(parser, before=lambda: "--xsub")
            assert (found.benchmark, found.split) == ("--xsub", value)
